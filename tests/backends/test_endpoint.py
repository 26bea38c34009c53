"""The endpoint backend before small real servers: every protocol, TLS, secrets, and what goes wrong."""

import json
import os
import socket
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from small_servers import running, self_signed

from bakeoff.backends import Resources, Setting, Unavailable, Unsupported, configured, create
from bakeoff.conformance import ranker, run
from bakeoff_backends.endpoint_rest import TfServing, dig, filled
from bakeoff_backends.endpoint_server import RefusedError, Server, UnreadableError
from bakeoff_backends.endpoint_stub import Stub

TARGET = "bakeoff_backends.endpoint:Endpoint"
TEMPLATE = {
    "body": {"rows": {"$each": {"dense": "$dense", "ids": "$ids"}}},
    "answer": {"score": "result.*.value"},
    "ready": "/health",
}
ASKED = {
    "v2-json": {"protocol": "v2-json", "model": "ranker"},
    "v2-binary": {"protocol": "v2-binary", "model": "ranker"},
    "tf-serving": {"protocol": "tf-serving", "model": "ranker"},
    "template": {"protocol": "template", "template": TEMPLATE},
}


@pytest.fixture(scope="module")
def model(tiny_prepared):
    return tiny_prepared.model()


@pytest.fixture
def server(tiny_score):
    with running(tiny_score) as found:
        yield found


def backend(server, protocol="v2-json", scheme="http", host="127.0.0.1", **more):
    path = "/score" if protocol == "template" else ""
    url = f"{scheme}://{host}:{server.port}{path}"
    return create(configured(TARGET, {"url": url, "timeout_s": 5.0} | ASKED[protocol] | more))


def loaded(found, model, into):
    (setting,) = found.settings(Resources(1))
    return found.load(found.build(model, "fp32", setting, "cpu", into), setting, "cpu")


@pytest.mark.parametrize("protocol", ASKED)
def test_every_protocol_answers_as_the_model_does_on_one_kept_connection(server, tiny_score, model, tmp_path, protocol):
    found = backend(server, protocol)
    assert found.probe("cpu").version
    with closing(loaded(found, model, tmp_path)) as session:
        before = server.connections
        for sample in [*model.samples[:4], {name: array[:1] for name, array in model.samples[0].items()}]:
            kept = {name: array.copy() for name, array in sample.items()}
            answer = session.infer(sample)["score"]
            np.testing.assert_allclose(answer, tiny_score(sample), rtol=1e-5)
            assert answer.dtype == np.float32
            assert answer.flags.writeable
            assert all(np.array_equal(kept[name], array) for name, array in sample.items())
        assert server.connections == before + 1
        with closing(session.lane(0)) as lane:
            lane.infer(model.samples[0])
            assert server.connections == before + 2, "a lane has a connection of its own"


@pytest.mark.parametrize("protocol", ASKED)
def test_its_clients_own_time_is_taken_before_a_stub_with_the_same_answer(
    server, tiny_score, model, tmp_path, protocol
):
    with closing(loaded(backend(server, protocol), model, tmp_path)) as session:
        baseline = session.baseline(model.samples[0])
        asked = len(server.asked)
        with closing(baseline):
            for _ in range(3):
                answer = baseline.infer(model.samples[0])["score"]
                np.testing.assert_allclose(answer, tiny_score(model.samples[0]), rtol=1e-5)
        assert len(server.asked) == asked, "the server has no part in it"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one CPU there is no other")
def test_the_stub_has_the_cpus_that_its_clients_process_leaves(monkeypatch):
    allowed = os.sched_getaffinity(0)
    own = {min(allowed)}
    monkeypatch.setattr(os, "getppid", os.getpid)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed if pid == os.getpid() else own)
    with closing(Stub("http", b"")) as stub:
        monkeypatch.undo()
        assert os.sched_getaffinity(stub._process.pid) == allowed - own


def test_over_tls_with_an_authority_of_ones_own(tiny_score, model, tmp_path):
    certificate = self_signed(tmp_path)
    with running(tiny_score, certificate) as server:
        found = backend(server, scheme="https", host="localhost", ca_file=str(tmp_path / "certificate.pem"))
        found.probe("cpu")
        with closing(loaded(found, model, tmp_path)) as session:
            np.testing.assert_allclose(
                session.infer(model.samples[0])["score"], tiny_score(model.samples[0]), rtol=1e-5
            )
            with closing(session.baseline(model.samples[0])) as baseline:
                baseline.infer(model.samples[0])
        for asked, said in (
            ({"scheme": "https", "host": "localhost"}, "is not trusted.*ca_file"),
            ({"scheme": "https", "ca_file": str(tmp_path / "certificate.pem")}, "is not trusted"),
            ({"scheme": "http"}, "say https://"),
        ):
            with pytest.raises(Unavailable, match=said):
                backend(server, **asked).probe("cpu")


def test_a_token_comes_from_the_environment_and_is_never_told(tiny_score, model, tmp_path, monkeypatch):
    headers = {"Authorization": "Bearer env:SHOP_TOKEN"}
    with running(tiny_score, token="right-one") as server:
        found = backend(server, headers=headers)
        with pytest.raises(Unavailable, match="variable SHOP_TOKEN for its header Authorization is not set"):
            found.probe("cpu")
        monkeypatch.setenv("SHOP_TOKEN", "wrong-one")
        with pytest.raises(Unavailable, match=r"credentials: HTTP 401: .*Bearer \*\*\*.*check .*Authorization") as told:
            found.probe("cpu")
        assert "wrong-one" not in str(told.value)
        monkeypatch.setenv("SHOP_TOKEN", "wrong\none")
        with pytest.raises(Unavailable, match="SHOP_TOKEN holds what no header can"):
            found.probe("cpu")
        monkeypatch.setenv("SHOP_TOKEN", "right-one")
        found.probe("cpu")
        with closing(loaded(found, model, tmp_path)) as session:
            session.infer(model.samples[0])
        assert "right-one" not in (tmp_path / "endpoint.json").read_text()
        with pytest.raises(Unavailable, match="name a header, as in headers"):
            backend(server).probe("cpu")


def test_what_is_wrong_with_a_server_is_one_line_with_a_remedy(server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()[1]
    cases = [
        ({"url": f"http://127.0.0.1:{nowhere}"}, "refuses connections .start it, or check its url"),
        ({"url": "http://no-such-host.invalid:80"}, "there is no such host"),
        ({"model": "other"}, "has no model other: HTTP 404: .*check its model and version"),
        ({"model": "ranker", "model_version": "7"}, "has no model ranker version 7"),
        ({"url": f"http://127.0.0.1:{server.port}/elsewhere"}, "knows no /elsewhere/v2/health/ready"),
        ({"url": f"https://127.0.0.1:{server.port}"}, "does not speak TLS"),
    ]
    for changed, said in cases:
        with pytest.raises(Unavailable, match=said) as told:
            backend(server, **changed).probe("cpu")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (lambda handler: handler.reply(503, {"error": "loading"}) or True, "is not ready: HTTP 503: .*loading"),
        (lambda handler: time.sleep(1) or True, "does not answer within 0.2 s"),
        (lambda handler: handler.wfile.write(b"SSH-2.0\r\n\r\n") and True, "does not speak HTTP"),
        (lambda handler: handler.send(200, b"[]", {}) or True, "cannot be asked: the answer is no JSON object"),
    ],
)
def test_a_server_that_misbehaves_is_unavailable(tiny_score, behave, said):
    with running(tiny_score, behave=behave) as server, pytest.raises(Unavailable, match=said):
        backend(server, timeout_s=0.2).probe("cpu")


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ({"dense": ("FP32", [-1, 8])}, None, "takes no input ids, it takes dense; say in inputs"),
        ({"dense": ("FP64", [-1, 8]), "ids": ("INT64", [-1, 2])}, None, "dense as float64, the model as float32"),
        ({"dense": ("FP32", [-1, 9]), "ids": ("INT64", [-1, 2])}, None, r"as \[any, 9\], the model as \[any, 8\]"),
        ({"dense": ("FP32", [4, 8]), "ids": ("INT64", [-1, 2])}, None, r"as \[4, 8\], the model as \[any, 8\]"),
        (None, {"rank": ("FP32", [-1])}, "gives no output score, it gives rank; say in outputs"),
    ],
)
def test_another_signature_is_unsupported_with_what_differs(server, model, tmp_path, inputs, outputs, said):
    server.inputs, server.outputs = inputs or server.inputs, outputs or server.outputs
    with pytest.raises(Unsupported, match=said):
        backend(server).build(model, "fp32", Setting("c1"), "cpu", tmp_path)


def test_a_server_that_is_gone_when_it_is_to_be_built_for_is_unavailable(server, model, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()[1]
    with pytest.raises(Unavailable, match="refuses connections"):
        backend(server, url=f"http://127.0.0.1:{nowhere}").build(model, "fp32", Setting("c1"), "cpu", tmp_path)
    server.behave = lambda handler: handler.wfile.write(b"SSH-2.0\r\n\r\n") and True
    with pytest.raises(Unavailable, match="does not speak HTTP"):
        backend(server).build(model, "fp32", Setting("c1"), "cpu", tmp_path)


def test_a_server_that_tells_no_signature_is_tried_and_its_words_are_told(server, model, tmp_path):
    server.inputs, server.outputs = {}, {}
    backend(server).build(model, "fp32", Setting("c1"), "cpu", tmp_path)
    server.behave = lambda handler: handler.path.endswith("/infer") and (handler.reply(422, {"error": "rows?"}) or True)
    with pytest.raises(Unsupported, match=r"does not take the model's requests: HTTP 422: .*rows"):
        backend(server).build(model, "fp32", Setting("c1"), "cpu", tmp_path)


def test_names_of_the_servers_own(server, model, tiny_score, tmp_path):
    renamed = replace(
        model,
        inputs=tuple(replace(each, name=f"my_{each.name}") for each in model.inputs),
        outputs=("my_score",),
        samples=[{f"my_{name}": array for name, array in model.samples[0].items()}],
    )
    theirs = {"inputs": {"my_dense": "dense", "my_ids": "ids"}, "outputs": {"my_score": "score"}}
    for protocol in ("v2-json", "v2-binary", "tf-serving"):
        with closing(loaded(backend(server, protocol, **theirs), renamed, tmp_path)) as session:
            answer = session.infer(renamed.samples[0])
            np.testing.assert_allclose(answer["my_score"], tiny_score(model.samples[0]), rtol=1e-5)


def test_a_request_that_fails_costs_that_request_alone(server, model, tmp_path):
    with closing(loaded(backend(server), model, tmp_path)) as session:
        server.behave = lambda handler: handler.reply(500, {"error": "no"}) or True
        with pytest.raises(RefusedError, match=r"HTTP 500: .*no"):
            session.infer(model.samples[0])
        server.behave = lambda handler: handler.send(200, b'{"outputs": 3}', {}) or True
        with pytest.raises(UnreadableError, match="no outputs as the protocol"):
            session.infer(model.samples[0])
        server.behave = lambda handler: False
        session.infer(model.samples[0])


def test_a_kept_connection_that_the_server_closed_is_opened_again(server, model, tmp_path):
    with closing(loaded(backend(server), model, tmp_path)) as session:
        session.infer(model.samples[0])
        server.behave = lambda handler: setattr(handler, "close_connection", True)
        session.infer(model.samples[0])
        server.behave = lambda handler: False
        before = server.connections
        session.infer(model.samples[0])
        assert server.connections == before + 1


def test_a_column_that_all_items_share_goes_in_columns_and_into_every_item():
    arrays = {"user": [[1.0, 2.0]], "items": [[3], [4]]}
    assert filled({"$each": {"u": "$user", "i": "$items"}}, arrays) == [
        {"u": [1.0, 2.0], "i": [3]},
        {"u": [1.0, 2.0], "i": [4]},
    ]
    assert filled(["k", {"u": "$user", "n": 3}], arrays) == ["k", {"u": [[1.0, 2.0]], "n": 3}]
    with pytest.raises(Unsupported, match=r"names \$other, which is no input; there are user, items"):
        filled("$other", arrays)
    columns = TfServing(Server("http://x", "tf-serving", "m"), ("score",))
    question = columns.question({"user": np.ones((1, 2), np.float32), "items": np.ones((2, 1), np.int64)})
    assert json.loads(question.body) == {"inputs": {"user": [[1.0, 1.0]], "items": [[1], [1]]}}


def test_an_answers_place():
    reply = {"a": [{"b": 1}, {"b": 2}], "c": {"d": [5]}}
    assert dig(reply, ["a", "*", "b"]) == [1, 2]
    assert dig(reply, ["c", "d", "0"]) == 5
    with pytest.raises(UnreadableError, match=r"nothing at c\.x"):
        dig(reply, ["c", "x", "y"])


def test_connections_are_settings_and_the_precision_is_as_told():
    options = {"url": "http://x", "connections": [2, 16], "precision": "int8", **ASKED["v2-json"]}
    found = create(configured(TARGET, options))
    assert [(each.name, each.instances) for each in found.settings(Resources(1))] == [("c2", 2), ("c16", 16)]
    assert found.precisions("cpu") == ("int8",)


def test_without_a_server_it_conforms_as_one_that_is_not_here():
    checks = run(TARGET)
    assert [check for check in checks if not check.ok] == []


@pytest.mark.engines
@pytest.mark.parametrize("protocol", ["v2-json", "v2-binary"])
def test_before_a_server_it_conforms(protocol):
    with running(ranker.reference) as server:
        server.inputs = {"features": ("FP32", [-1, 4]), "ids": ("INT64", [-1, 2]), "history": ("INT64", [1, 8])}
        server.outputs = {"score": ("FP32", [-1]), "vector": ("FP32", [-1, 32])}
        options = {"url": f"http://127.0.0.1:{server.port}"} | ASKED[protocol]
        checks = run(configured(TARGET, options))
    assert [check for check in checks if not check.ok] == []
    assert len(checks) > 15, checks


def test_without_a_server_it_says_where_servers_are_named(model, tmp_path):
    found = create(TARGET)
    assert "servers that a scenario names" in found.probe("cpu").version
    with pytest.raises(Unavailable, match=r"candidates\.endpoints"):
        found.build(model, "fp32", Setting("c1"), "cpu", tmp_path)
