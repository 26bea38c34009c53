from pathlib import Path

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import from_model, load_scenario, override


def test_a_model_alone_is_measured_one_request_at_a_time(write):
    scenario = from_model("a.onnx") if write("") else None
    assert (scenario.name, scenario.workload) == ("a", str(Path.cwd() / "a.onnx"))
    assert (scenario.traffic.kind, scenario.traffic.qps, scenario.sla) == ("single_stream", None, None)


def test_a_model_with_its_load(write):
    write("")
    scenario = from_model(Path("a.onnx"), qps=500, p99="20ms", batch_size=16, seed=3, backends=["torch"])
    assert (scenario.traffic.kind, scenario.traffic.qps, scenario.traffic.batch_size) == ("server", 500, ((16, 1.0),))
    assert (scenario.sla.percentile, scenario.sla.limit_ms, scenario.sla.error_rate) == (99.0, 20.0, 0.001)
    assert (scenario.seed, scenario.candidates.backends) == (3, ("torch",))


def test_a_model_may_ask_how_much_it_can_take(write):
    write("")
    traffic = from_model("a.onnx", qps="max", p99="20ms").traffic
    assert (traffic.kind, traffic.qps, traffic.rate, traffic.asks_capacity) == ("server", "max", None, True)


def test_a_factory_gives_the_name(write):
    assert from_model("shop.models:ranker").name == "shop.models-ranker"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "c.onnx"}, "c.onnx: workload: 'c.onnx': no such file (looked for "),
        (
            {"model": "a.onnx", "device": "gpu"},
            "options for a: device: 'gpu': must be cpu, cuda, cuda:1 for another GPU, or cuda:0+1 for two of them",
        ),
        ({"model": "a.onnx", "qps": 5}, "a.onnx: sla: missing; server traffic needs a latency limit, as in --p99 20ms"),
        ({"model": "a.onnx", "qps": -5, "p99": "1ms"}, "a.onnx: traffic.qps: -5: must be greater than 0"),
        ({"model": "a.onnx", "qps": float("inf"), "p99": "1ms"}, "a.onnx: traffic.qps: inf: must be a finite number"),
        ({"model": "a.onnx", "p99": "20"}, "a.onnx: sla.p99: '20': must be a duration with its unit"),
        (
            {"model": "a.onnx", "batch_size": 0},
            "options for a: batch_size: 0: must be from 1 to 100000 items, as in 256",
        ),
    ],
)
def test_what_is_wrong_with_a_model(write, options, expected):
    write("")
    with pytest.raises(UserError) as caught:
        from_model(**options)
    assert str(caught.value).startswith(expected)


def test_override_changes_what_is_given_and_nothing_else(good):
    before = load_scenario(good("quality: {auc: 1%}\nprice: 1 USD/host-hour"))
    assert override(before) == before
    after = override(before, qps=50, p99="7ms", batch_size=3, seed=9, backends=["torch", "openvino"])
    assert (after.traffic.qps, after.sla.limit_ms, after.traffic.batch_size, after.seed) == (50, 7.0, ((3, 1.0),), 9)
    assert after.candidates.backends == ("torch", "openvino")
    assert (after.quality, after.price, after.source) == (before.quality, before.price, before.source)
    assert override(before, qps="max").traffic.asks_capacity
    assert (before.resources.device, override(before, device="cuda:1").resources.device) == ("cpu", "cuda:1")
    assert override(override(before, qps="max"), qps=7).traffic.rate == 7


def test_p99_replaces_another_percentile_and_keeps_the_error_rate(write):
    text = "workload: ctr-dlrm\ntraffic: {kind: single_stream}\n"
    with_p95 = override(load_scenario(write(text + "sla: {p95: 1s, error_rate: 2%}")), p99="20ms")
    assert (with_p95.sla.percentile, with_p95.sla.limit_ms, with_p95.sla.error_rate) == (99.0, 20.0, 0.02)
    without = override(load_scenario(write(text)), p99="20ms")
    assert (without.sla.percentile, without.sla.error_rate) == (99.0, 0.001)


def test_another_workload_drops_the_variants_and_requests_of_the_old_one(write):
    path = write("workload: a.onnx\nvariants: {small: b.pt2}\nrequests: r.parquet\ntraffic: {kind: offline}")
    scenario = override(load_scenario(path), workload="b.pt2")
    assert (Path(scenario.workload).name, scenario.variants, scenario.requests) == ("b.pt2", {}, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"qps": -1}, "options for x: traffic.qps: -1: must be greater than 0, as in qps: 200"),
        ({"qps": "lots"}, "options for x: traffic.qps: 'lots': must be a number, as in qps: 200, or max"),
        ({"qps": float("nan")}, "options for x: traffic.qps: nan: must be a finite number"),
        ({"p99": "7"}, "options for x: p99: '7': must be a duration with its unit"),
        ({"batch_size": -1}, "options for x: batch_size: -1: must be from 1 to 100000 items"),
        ({"seed": -1}, "options for x: seed: -1: must be greater than or equal to 0"),
        ({"workload": "c.onnx"}, "options for x: workload: 'c.onnx': no such file"),
        ({"backends": ["a b"]}, "options for x: candidates.backends[0]: 'a b': is not of the right form"),
    ],
)
def test_what_is_wrong_with_an_option(good, options, expected):
    with pytest.raises(UserError) as caught:
        override(load_scenario(good()), **options)
    assert str(caught.value).startswith(expected)


def test_qps_has_no_meaning_offline(write):
    scenario = load_scenario(write("workload: ctr-dlrm\ntraffic: {kind: offline}"))
    with pytest.raises(UserError, match="goes with kind: server, constant, burst or trace"):
        override(scenario, qps=5)
