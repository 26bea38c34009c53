"""Open Inference Protocol v2 over HTTP: tensors as JSON, or as bytes behind a JSON header (the binary extension)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff.backends import Arrays
from bakeoff_backends.endpoint_arrays import Array, datatype_of, dtype_name, from_raw, from_values, to_raw
from bakeoff_backends.endpoint_http import Dialect, Question, Reply, Wire
from bakeoff_backends.endpoint_server import UnreadableError
from bakeoff_backends.endpoint_signature import Signature

HEADER_LENGTH = "Inference-Header-Content-Length"
REQUEST_ID = "1"
"""Optional by the protocol, and wanted by some servers."""


class V2Json(Dialect):
    """Tensors as flat JSON lists."""

    def greet(self, wire: Wire) -> str:
        """Ready, with the model; the name and version by the server's metadata."""
        wire.get(f"{self.base}/v2/health/ready")
        wire.get(self.model_path)
        wire.get(f"{self.model_path}/ready")
        about = read_json(wire.get(f"{self.base}/v2"))
        return f"{about.get('name', 'server')} {about.get('version', '')}".strip()

    def signature(self, wire: Wire) -> Signature | None:
        """By the model's metadata, which may be empty."""
        about = read_json(wire.get(self.model_path))
        inputs = {
            each["name"]: (dtype_name(each["datatype"]), tuple(None if size < 0 else size for size in each["shape"]))
            for each in about.get("inputs") or ()
        }
        return Signature(inputs, tuple(each["name"] for each in about.get("outputs") or ()))

    @property
    def model_path(self) -> str:
        """Where the model's metadata is."""
        version = f"/versions/{self.server.model_version}" if self.server.model_version else ""
        return f"{self.base}/v2/models/{self.server.model}{version}"

    def question(self, inputs: Arrays) -> Question:
        """All in one JSON object."""
        tensors = [described | {"data": array.reshape(-1).tolist()} for described, array in self._described(inputs)]
        wanted = [{"name": name} for name in self._wanted()]
        body = json.dumps({"id": REQUEST_ID, "inputs": tensors, "outputs": wanted}).encode()
        return Question(f"{self.model_path}/infer", body, {"Content-Type": "application/json"})

    def answer(self, reply: Reply) -> Arrays:
        """The outputs' lists as arrays."""
        return {each["name"]: _from_json(each) for each in outputs_of(read_json(reply))}

    def _described(self, inputs: Arrays) -> Iterator[tuple[dict[str, Any], Array]]:
        for name, array in inputs.items():
            theirs = self.server.inputs.get(name, name)
            yield {"name": theirs, "shape": list(array.shape), "datatype": datatype_of(array)}, array

    def _wanted(self) -> list[str]:
        return [self.server.outputs.get(name, name) for name in self.outputs]


class V2Binary(V2Json):
    """Tensors as bytes, one after the other behind the JSON."""

    def question(self, inputs: Arrays) -> Question:
        """The header says how many bytes each tensor has; its own length is in an HTTP header."""
        tensors, parts = [], []
        for described, array in self._described(inputs):
            parts.append(to_raw(array))
            tensors.append(described | {"parameters": {"binary_data_size": len(parts[-1])}})
        wanted = [{"name": name, "parameters": {"binary_data": True}} for name in self._wanted()]
        head = json.dumps({"id": REQUEST_ID, "inputs": tensors, "outputs": wanted}).encode()
        headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
        return Question(f"{self.model_path}/infer", b"".join([head, *parts]), headers)

    def answer(self, reply: Reply) -> Arrays:
        """The outputs' bytes as arrays; JSON where the server preferred that."""
        length = reply.headers.get(HEADER_LENGTH)
        if length is None:
            return super().answer(reply)
        head, place = read_json(reply._replace(body=reply.body[: int(length)])), int(length)
        found = {}
        for each in outputs_of(head):
            size = (each.get("parameters") or {}).get("binary_data_size")
            if size is None:
                found[each["name"]] = _from_json(each)
                continue
            raw = memoryview(reply.body)[place : place + size]
            found[each["name"]] = from_raw(each["datatype"], raw, each["shape"])
            place += size
        return found


def read_json(reply: Reply) -> dict[str, Any]:
    """The JSON object in a reply's body; raises UnreadableError for anything else."""
    try:
        found = json.loads(reply.body)
    except ValueError as error:
        raise UnreadableError("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise UnreadableError(f"the answer is no JSON object but a {type(found).__name__}")
    return found


def outputs_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The descriptions of the outputs; raises UnreadableError where they are none."""
    outputs = answer.get("outputs")
    whole = isinstance(outputs, list) and all(
        isinstance(each, dict) and {"name", "datatype", "shape"} <= each.keys() for each in outputs
    )
    if not isinstance(outputs, list) or not whole:
        raise UnreadableError("the answer has no outputs as the protocol describes them")
    return outputs


def _from_json(output: Mapping[str, Any]) -> Array:
    if "data" not in output:
        raise UnreadableError(f"the answer's output {output['name']} has no data")
    return from_values(output["data"], output["datatype"], output["shape"])
