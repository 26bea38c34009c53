"""Servers that are running already: Open Inference Protocol v2, TensorFlow Serving's REST, or JSON by a template.

A scenario names them (`candidates.endpoints`); what is measured is what their clients see. HTTP is the standard
library's, one kept-alive connection for each thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.backends import (
    FP32,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Resources,
    Session,
    Setting,
    Unavailable,
    Unsupported,
)
from bakeoff_backends.endpoint_http import Dialect, HttpClient
from bakeoff_backends.endpoint_rest import Template, TfServing
from bakeoff_backends.endpoint_server import Client, RefusedError, RequestError, Server, UnreadableError
from bakeoff_backends.endpoint_v2 import V2Binary, V2Json

GRPC = "v2-grpc"
DIALECTS: Mapping[str, type[Dialect]] = {
    "v2-json": V2Json,
    "v2-binary": V2Binary,
    "tf-serving": TfServing,
    "template": Template,
}
REMEDY = "name it in a scenario, under candidates.endpoints"


class Endpoint(Backend):
    """One server, or without options none: then it is only told that servers can be driven."""

    name: ClassVar[str] = "endpoint"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "exported")
    instances: ClassVar[Instances] = "threads"

    def __init__(self, connections: Sequence[int] = (1,), precision: str = FP32, **server: Any) -> None:
        self._connections, self._precision = tuple(connections), precision
        self._server = Server(**server) if server else None

    def probe(self, device: str) -> Facts:
        """The server's name and version, once it answers and is ready; raises Unavailable with what is wrong."""
        if self._server is None:
            return Facts(f"for servers that a scenario names; {_grpc_words()}")
        try:
            with closing(self._client(())) as client:
                told = client.greet()
        except (OSError, HTTPException, RequestError) as error:
            raise self._server.absent(error) from None
        return Facts(told, {"protocol": self._server.protocol})

    def precisions(self, device: str) -> tuple[str, ...]:
        """The one that the scenario says, for it cannot be seen; without a server none."""
        return (self._precision,) if self._server else ()

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """So many connections in flight, named "c8" and so on."""
        return tuple(Setting(f"c{count}", instances=count) for count in self._connections)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Hold the model's signature against the server's and try a request; raises Unsupported with what differs, and
        Unavailable where the server is gone since."""
        server = self._named()
        self.require(precision, device)
        try:
            with closing(self._client(model.outputs)) as client:
                if signature := client.signature():
                    signature.require(model, server.inputs, server.outputs)
                for sample in model.samples[:1]:
                    client.infer(sample)
        except (RefusedError, UnreadableError) as error:
            raise Unsupported(f"{server.url} does not take the model's requests: {error}") from None
        except (OSError, HTTPException) as error:
            raise server.absent(error) from None
        path = into / "endpoint.json"
        path.write_text(json.dumps(asdict(server)), encoding="utf-8")
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A connection, and another for each lane."""
        return self._client(artifact.outputs)

    def _named(self) -> Server:
        if self._server is None:
            raise Unavailable("no server is named", REMEDY)
        return self._server

    def _client(self, outputs: tuple[str, ...]) -> Client:
        server = self._named()
        if server.protocol == GRPC:
            from bakeoff_backends.endpoint_grpc import GrpcClient

            return GrpcClient(server, outputs)
        return HttpClient(server, DIALECTS[server.protocol](server, outputs))


def _grpc_words() -> str:
    try:
        return f"grpcio {version('grpcio')}"
    except PackageNotFoundError:
        return f"{GRPC} needs pip install 'bakeoff[endpoint]'"
