"""JSON by REST: TensorFlow Serving's predict (KServe's v1 is alike), and bodies by a template of a person's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bakeoff.backends import Arrays, Unsupported
from bakeoff_backends.endpoint_arrays import guessed
from bakeoff_backends.endpoint_http import Dialect, Question, Reply, Wire
from bakeoff_backends.endpoint_server import RefusedError, UnreadableError
from bakeoff_backends.endpoint_signature import Signature
from bakeoff_backends.endpoint_v2 import read_json

JSON = {"Content-Type": "application/json"}
EACH = "$each"
PLACE = "$"
AVAILABLE = "AVAILABLE"
SERVING = "serving_default"


class TfServing(Dialect):
    """`predict`, item by item where every input has a row for each item, else column by column."""

    def greet(self, wire: Wire) -> str:
        """Whether a version of the model is available (TensorFlow Serving), or the model is ready (KServe)."""
        about = read_json(wire.get(self.model_path))
        states = [each.get("state") for each in about.get("model_version_status") or ()]
        if about.get("ready") is False or (states and AVAILABLE not in states):
            raise RefusedError(503, "the model is not loaded", self.model_path)
        return "unknown"

    def signature(self, wire: Wire) -> Signature | None:
        """By the model's metadata, where the server has any."""
        try:
            about = read_json(wire.get(f"{self.model_path}/metadata"))
            found = about["metadata"]["signature_def"]["signature_def"][SERVING]
        except (RefusedError, KeyError, TypeError):
            return None
        inputs = {name: (_dtype(each["dtype"]), _shape(each["tensor_shape"])) for name, each in found["inputs"].items()}
        return Signature(inputs, tuple(found["outputs"]))

    @property
    def model_path(self) -> str:
        """Where the model's state is."""
        version = f"/versions/{self.server.model_version}" if self.server.model_version else ""
        return f"{self.base}/v1/models/{self.server.model}{version}"

    def question(self, inputs: Arrays) -> Question:
        """One object a row, or the row itself where there is one input."""
        columns = {self.server.inputs.get(name, name): array.tolist() for name, array in inputs.items()}
        rows = {array.shape[0] if array.ndim else -1 for array in inputs.values()}
        body: dict[str, Any] = {"inputs": columns}
        if len(rows) == 1 and -1 not in rows:
            (first, *more) = columns.values()
            body = {"instances": [dict(zip(columns, row, strict=True)) for row in zip(first, *more, strict=True)]}
            body = body if more else {"instances": first}
        return Question(f"{self.model_path}:predict", json.dumps(body).encode(), JSON)

    def answer(self, reply: Reply) -> Arrays:
        """Rows of objects, or of values where there is one output; or columns."""
        about = read_json(reply)
        found = about.get("predictions", about.get("outputs"))
        if isinstance(found, list) and found and isinstance(found[0], dict):
            found = {name: dig(found, ("*", name)) for name in found[0]}
        if isinstance(found, dict):
            return {name: guessed(values) for name, values in found.items()}
        if found is None or len(self.outputs) != 1:
            raise UnreadableError("the answer has no predictions of every output")
        return {self.server.outputs.get(self.outputs[0], self.outputs[0]): guessed(found)}


class Template(Dialect):
    """What the scenario's template says."""

    def greet(self, wire: Wire) -> str:
        """By the path that says so, else whether it listens at all."""
        ready = self._template.get("ready")
        if ready:
            wire.get(ready)
        else:
            wire.connect()
        return "unknown"

    def signature(self, wire: Wire) -> Signature | None:
        """None: nobody tells."""
        return None

    @property
    def _template(self) -> Mapping[str, Any]:
        return self.server.template or {}

    def question(self, inputs: Arrays) -> Question:
        """The body with the inputs in their places; raises Unsupported for a name that is no input's."""
        lists = {name: array.tolist() for name, array in inputs.items()}
        body = json.dumps(filled(self._template["body"], lists)).encode()
        return Question(self.server.address.path or "/", body, JSON)

    def answer(self, reply: Reply) -> Arrays:
        """Each output from its place."""
        try:
            found = json.loads(reply.body)
        except ValueError as error:
            raise UnreadableError("the answer is not JSON") from error
        places: Mapping[str, str] = self._template["answer"]
        return {name: guessed(dig(found, place.split("."))) for name, place in places.items()}


def filled(node: Any, inputs: Mapping[str, Any]) -> Any:
    """A template with "$name" replaced by that input, and {"$each": ...} by a list with it once for each item."""
    if isinstance(node, str) and node.startswith(PLACE):
        if node[1:] not in inputs:
            raise Unsupported(f"the template names {node}, which is no input; there are {', '.join(inputs)}")
        return inputs[node[1:]]
    if isinstance(node, Mapping) and node.keys() == {EACH}:
        items = max((len(values) for values in inputs.values() if isinstance(values, list)), default=0)
        return [filled(node[EACH], {name: _row(values, i) for name, values in inputs.items()}) for i in range(items)]
    if isinstance(node, Mapping):
        return {key: filled(each, inputs) for key, each in node.items()}
    return [filled(each, inputs) for each in node] if isinstance(node, list) else node


def dig(node: Any, path: Sequence[str]) -> Any:
    """What lies in JSON at a path of keys and places, "*" for every one of a list; raises UnreadableError."""
    for done, key in enumerate(path):
        if key == "*" and isinstance(node, list):
            return [dig(each, path[done + 1 :]) for each in node]
        try:
            node = node[int(key)] if isinstance(node, list) else node[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UnreadableError(f"the answer has nothing at {'.'.join(path[: done + 1])}") from error
    return node


def _row(values: Any, item: int) -> Any:
    """An item's row; of an input with one row, which all items share, that one."""
    if not isinstance(values, list):
        return values
    return values[item] if len(values) > 1 else values[0]


def _dtype(name: str) -> str:
    """DT_FLOAT as float32, and so on."""
    word = name.removeprefix("DT_").lower()
    return {"float": "float32", "double": "float64", "half": "float16", "string": "text"}.get(word, word)


def _shape(told: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    if told.get("unknown_rank"):
        return None
    sizes = [int(each["size"]) for each in told.get("dim") or ()]
    return tuple(None if size < 0 else size for size in sizes)
