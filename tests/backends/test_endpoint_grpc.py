"""The endpoint backend over gRPC, before a small real server of grpcio's own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import grpc
import numpy as np
import pytest
from small_servers import DTYPES, INPUTS, OUTPUTS, self_signed

from bakeoff.backends import Resources, Unavailable, Unsupported, configured, create
from bakeoff_backends.endpoint_grpc_messages import messages

TARGET = "bakeoff_backends.endpoint:Endpoint"
TOKEN = "right-one"


class Ranking:
    """The service's methods; `raw` says whether outputs come as bytes or in the field of their type."""

    def __init__(self, score, raw=True, token=None):
        self.score, self.raw, self.token, self.peers = score, raw, token, set()

    def ServerReady(self, request, context):  # noqa: N802 - the protocol's names
        return {"ready": True}

    def ServerMetadata(self, request, context):  # noqa: N802
        return {"name": "small", "version": "1.0"}

    def ModelReady(self, request, context):  # noqa: N802
        return {"ready": request.name == "ranker"}

    def ModelMetadata(self, request, context):  # noqa: N802
        tensors = [
            [
                messages()["TensorMetadata"](name=name, datatype=kind, shape=shape)
                for name, (kind, shape) in each.items()
            ]
            for each in (INPUTS, OUTPUTS)
        ]
        return {"inputs": tensors[0], "outputs": tensors[1]}

    def ModelInfer(self, request, context):  # noqa: N802
        self.peers.add(context.peer())
        if self.token and ("authorization", f"Bearer {self.token}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not {dict(context.invocation_metadata())}")
        arrays = {
            each.name: np.frombuffer(raw, DTYPES[each.datatype]).reshape(each.shape)
            for each, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        scores = self.score(arrays)
        output = messages()["Tensor"](name="score", datatype="FP32", shape=scores.shape)
        if self.raw:
            return {"outputs": [output], "raw_output_contents": [scores.tobytes()]}
        output.contents.fp32_contents.extend(scores.tolist())
        return {"outputs": [output]}


@contextmanager
def running(service, certificate=None):
    """The port of the service, while it runs."""

    def handler(verb):
        made, answer = messages(), getattr(service, verb)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: made[f"{verb}Response"](**answer(request, context)),
            made[f"{verb}Request"].FromString,
            made[f"{verb}Response"].SerializeToString,
        )

    verbs = ("ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")
    handlers = {verb: handler(verb) for verb in verbs}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    if certificate:
        pem = certificate.read_bytes()
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(pem, pem)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def model(tiny_prepared):
    return tiny_prepared.model()


def backend(port, **more):
    url = f"grpc://127.0.0.1:{port}"
    return create(configured(TARGET, {"url": url, "protocol": "v2-grpc", "model": "ranker", "timeout_s": 5.0} | more))


def loaded(found, model, into):
    (setting,) = found.settings(Resources(1))
    return found.load(found.build(model, "fp32", setting, "cpu", into), setting, "cpu")


@pytest.mark.parametrize("raw", [True, False])
def test_it_answers_as_the_model_does_with_a_connection_for_each_lane(tiny_score, model, tmp_path, raw):
    service = Ranking(tiny_score, raw)
    with running(service) as port:
        found = backend(port)
        assert found.probe("cpu").version == "small 1.0"
        with closing(loaded(found, model, tmp_path)) as session:
            service.peers.clear()
            for sample in model.samples[:3]:
                answer = session.infer(sample)["score"]
                np.testing.assert_allclose(answer, tiny_score(sample), rtol=1e-5)
                assert answer.flags.writeable
            assert len(service.peers) == 1
            with closing(session.lane(0)) as lane:
                lane.infer(model.samples[0])
            assert len(service.peers) == 2
            with closing(session.baseline(model.samples[0])) as baseline:
                np.testing.assert_allclose(
                    baseline.infer(model.samples[0])["score"], tiny_score(model.samples[0]), rtol=1e-5
                )
            assert len(service.peers) == 2, "the server has no part in the client's own time"


def test_over_tls(tiny_score, model, tmp_path):
    certificate = self_signed(tmp_path)
    with running(Ranking(tiny_score), certificate) as port:
        secure = {"url": f"grpcs://localhost:{port}"}
        found = backend(port, **secure, ca_file=str(tmp_path / "certificate.pem"))
        found.probe("cpu")
        with closing(loaded(found, model, tmp_path)) as session:
            np.testing.assert_allclose(
                session.infer(model.samples[0])["score"], tiny_score(model.samples[0]), rtol=1e-5
            )
        with pytest.raises(Unavailable, match="ca_file"):
            backend(port, **secure).probe("cpu")


def test_what_is_wrong_is_one_line_with_a_remedy_and_no_secret(tiny_score, model, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "wrong-one")
    with running(Ranking(tiny_score, token=TOKEN)) as port:
        for changed, said in (
            ({"url": "grpc://127.0.0.1:9"}, "refuses connections"),
            ({"url": "grpc://no-such-host.invalid:80"}, "there is no such host"),
            ({"model": "other"}, "has no model other"),
        ):
            with pytest.raises(Unavailable, match=said) as told:
                backend(port, **changed).probe("cpu")
            assert "\n" not in str(told.value)
        with pytest.raises(Unsupported, match=r"UNAUTHENTICATED: .*Bearer \*\*\*") as refused:
            loaded(backend(port, headers={"Authorization": "Bearer env:SHOP_TOKEN"}), model, tmp_path)
        assert "wrong-one" not in str(refused.value)
        monkeypatch.setenv("SHOP_TOKEN", TOKEN)
        loaded(backend(port, headers={"Authorization": "Bearer env:SHOP_TOKEN"}), model, tmp_path).close()
