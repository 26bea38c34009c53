"""Open Inference Protocol v2 over gRPC: one channel, and so one connection, for each thread."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakeoff.backends import Arrays, Session, Unavailable
from bakeoff_backends.endpoint_arrays import Array, datatype_of, dtype_name, from_raw, from_values, to_raw
from bakeoff_backends.endpoint_grpc_messages import PACKAGE, messages
from bakeoff_backends.endpoint_http import named
from bakeoff_backends.endpoint_server import Client, RefusedError, RequestError, Server, UnreadableError
from bakeoff_backends.endpoint_signature import Signature
from bakeoff_backends.endpoint_stub import Stub

SERVICE = f"/{PACKAGE}.GRPCInferenceService/"
REMEDY = "pip install 'bakeoff[endpoint]'"
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
STATUSES = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "INVALID_ARGUMENT": 400}
"""What HTTP would say."""
TROUBLE: Mapping[str, type[Exception]] = {
    "CERTIFICATE_VERIFY_FAILED": ssl.SSLCertVerificationError,
    "handshake failed": ssl.SSLError,
    "Connection refused": ConnectionRefusedError,
    "resol": socket.gaierror,
}
"""What gRPC says of connections that cannot be made, and of names that it cannot resolve."""
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class GrpcClient(Client):
    """Tensors as raw bytes. With a `stub`, that is what it is before."""

    def __init__(self, server: Server, outputs: tuple[str, ...], stub: Stub | None = None) -> None:
        self._server, self._outputs, self._stub = server, outputs, stub
        self._metadata = [(name.lower(), value) for name, value in server.secret_headers().items()]
        self._channel = _channel(server)
        self._calls: dict[str, Any] = {}

    def greet(self) -> str:
        """Ready, with the model; the name and version by the server's metadata."""
        which = {"name": self._server.model, "version": self._server.model_version or ""}
        for verb, fields in (("ServerReady", {}), ("ModelReady", which)):
            if not self._ask(verb, fields).ready:
                what = "the model is not there, or not ready" if fields else "it is not ready"
                raise RefusedError(404 if fields else 503, what, f"/models/{self._server.model}" if fields else "/")
        about = self._ask("ServerMetadata", {})
        return f"{about.name or 'server'} {about.version}".strip()

    def signature(self) -> Signature | None:
        """By the model's metadata, which may be empty."""
        about = self._ask("ModelMetadata", {"name": self._server.model, "version": self._server.model_version or ""})
        inputs = {
            each.name: (dtype_name(each.datatype), tuple(None if size < 0 else size for size in each.shape))
            for each in about.inputs
        }
        return Signature(inputs, tuple(each.name for each in about.outputs))

    def infer(self, inputs: Arrays) -> Arrays:
        """One request and its reply; raises RequestError."""
        reply = self._ask("ModelInfer", self._fields(inputs))
        raw = reply.raw_output_contents
        if raw and len(raw) != len(reply.outputs):
            raise UnreadableError(f"the answer has {len(reply.outputs)} outputs and bytes of {len(raw)}")
        answers = {
            output.name: from_raw(output.datatype, raw[place], output.shape) if raw else _typed(output)
            for place, output in enumerate(reply.outputs)
        }
        return named(answers, self._server, self._outputs)

    def lane(self, index: int) -> Session:
        """A channel for each thread."""
        return GrpcClient(self._server, self._outputs)

    def baseline(self, inputs: Arrays) -> Session:
        """Before a stub that has the server's reply to `inputs`; without TLS."""
        reply = self._ask("ModelInfer", self._fields(inputs))
        stub = Stub("grpc", reply.SerializeToString())
        here = replace(self._server, url=f"grpc://127.0.0.1:{stub.port}", ca_file=None)
        return GrpcClient(here, self._outputs, stub)

    def close(self) -> None:
        """Close the channel, and the stub."""
        self._channel.close()
        if self._stub:
            self._stub.close()

    def _fields(self, inputs: Arrays) -> dict[str, Any]:
        made, server = messages(), self._server
        tensors = [
            made["Tensor"](name=server.inputs.get(name, name), datatype=datatype_of(array), shape=array.shape)
            for name, array in inputs.items()
        ]
        wanted = [made["RequestedOutput"](name=server.outputs.get(name, name)) for name in self._outputs]
        return {
            "model_name": server.model,
            "model_version": server.model_version or "",
            "id": "1",
            "inputs": tensors,
            "outputs": wanted,
            "raw_input_contents": [to_raw(array) for array in inputs.values()],
        }

    def _ask(self, verb: str, fields: Mapping[str, Any]) -> Any:
        import grpc

        made = messages()
        if verb not in self._calls:
            self._calls[verb] = self._channel.unary_unary(
                SERVICE + verb,
                request_serializer=made[f"{verb}Request"].SerializeToString,
                response_deserializer=made[f"{verb}Response"].FromString,
            )
        request = made[f"{verb}Request"](**fields)
        try:
            return self._calls[verb](request, timeout=self._server.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._failure(error.code().name, error.details() or "", verb) from None

    def _failure(self, code: str, details: str, verb: str) -> Exception:
        """A failed call as the exception that HTTP would have raised."""
        said = self._server.hide(details)
        if code in STATUSES:
            return RefusedError(STATUSES[code], said, f"/models/{verb}" if verb.startswith("Model") else verb, code)
        if code == "DEADLINE_EXCEEDED":
            return TimeoutError(said)
        kinds = [kind for words, kind in TROUBLE.items() if code == "UNAVAILABLE" and words in details]
        return kinds[0](said) if kinds else RequestError(f"{code}: {said}")


def _typed(output: Any) -> Array:
    """An output whose values lie in the field of their type."""
    if output.datatype == "BYTES":
        texts = [each.decode(errors="replace") for each in output.contents.bytes_contents]
        return from_values(texts, output.datatype, output.shape)
    if output.datatype not in CONTENTS:
        raise UnreadableError(f"the answer has {output.datatype} without bytes")
    return from_values(getattr(output.contents, CONTENTS[output.datatype]), output.datatype, output.shape)


def _channel(server: Server) -> Any:
    try:
        import grpc
    except ImportError as error:
        raise Unavailable(f"v2-grpc needs grpcio, which cannot be imported: {error}", REMEDY) from error
    host = server.address.hostname or ""
    target = f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"
    if not server.secure:
        return grpc.insecure_channel(target, OPTIONS)
    authorities = Path(server.ca_file).read_bytes() if server.ca_file else None
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(authorities), OPTIONS)
