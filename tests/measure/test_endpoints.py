"""A server driven as any engine is: its blocks, its failures, and what its client takes by itself."""

import os

import pytest
from small_servers import running

from bakeoff.backends import Setting, configured
from bakeoff.measure.engine_room import Engine, Order, StageFailed, build
from bakeoff.measure.serve import median_ns

pytestmark = pytest.mark.alone
TARGET = "bakeoff_backends.endpoint:Endpoint"
SETTING = Setting("c2", instances=2)


@pytest.fixture
def server(tiny_score):
    with running(tiny_score) as found:
        yield found


@pytest.fixture
def order(server, tiny_prepared, tmp_path):
    """What starts a client of the server, its artifact built."""
    url = f"http://127.0.0.1:{server.port}"
    target = configured(TARGET, {"url": url, "protocol": "v2-binary", "model": "ranker", "timeout_s": 5.0})
    cpus = tuple(os.sched_getaffinity(0))
    built = build(
        target, tiny_prepared.folder, "base", "fp32", SETTING, "cpu", tmp_path / "built", tmp_path / "log", 30, cpus
    )
    return Order(
        target=target,
        artifact=built.artifact,
        setting=SETTING,
        device="cpu",
        instances="threads",
        cpus=cpus,
        memory_bytes=None,
        prepared=tiny_prepared.folder,
        log=tmp_path / "log",
    )


def test_it_is_verified_and_measured_and_its_clients_own_time_is_told(order, server):
    with Engine.start(order, 60) as engine:
        assert engine.loaded.worst_error < 1e-5
        client_ns = engine.loaded.details["client_ns"]
        assert 0 < client_ns < engine.loaded.details["service_ns"]
        block = engine.closed(0.3)
    assert block.error_rate() == 0.0
    assert block.facts["verified"] > 0
    assert server.connections >= 2


def test_a_request_that_fails_is_a_failed_request_and_no_failed_server(order, server):
    with Engine.start(order, 60) as engine:
        refused = iter(range(10**9))
        server.behave = lambda handler: next(refused) % 4 == 0 and (handler.reply(503, {"error": "busy"}) or True)
        block = engine.closed(0.3)
    assert 0.2 < block.error_rate() < 0.3
    assert block.facts["first_error"].startswith("RefusedError: HTTP 503")


def test_a_server_with_another_model_is_wrong_output(order, server, tiny_score):
    server.score = lambda arrays: tiny_score(arrays) * 0.9
    with pytest.raises(StageFailed) as failed:
        Engine.start(order, 60)
    assert (failed.value.stage, failed.value.outcome) == ("verify", "wrong-output")


def test_the_median_of_so_many_calls_or_of_so_much_time():
    ticks = iter([0, 10, 20, 50, 60, 65, 70, 90])
    assert median_ns(lambda inputs: inputs, {}, 3, 10**9, lambda: next(ticks)) == 10
    ticks = iter([0, 10, 20, 50, 60, 65])
    assert median_ns(lambda inputs: inputs, {}, 100, 40, lambda: next(ticks)) == 20
