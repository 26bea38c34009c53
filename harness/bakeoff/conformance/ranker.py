"""The model that the suite runs: a small ranker in three forms that must agree: numpy (the reference), ONNX and torch.

It holds what ranking models hold: float features and ids per item, one history per request that the items attend to,
a free number of items, and two outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Model, Tensor

Array = np.ndarray[Any, Any]

ROWS, WIDTH, FEATURES, HISTORY = 1000, 16, 4, 8
INPUTS = (
    Tensor("features", "float32", (None, FEATURES)),
    Tensor("ids", "int64", (None, 2)),
    Tensor("history", "int64", (1, HISTORY), per="request"),
)
OUTPUTS = ("score", "vector")
LAYERS = ((FEATURES + 2 * WIDTH, 64), (64, 32), (32, 1))
CALIBRATION_REQUESTS = 24


def weights() -> dict[str, Array]:
    """The embedding table and each layer's weight [in, out] and bias, always the same."""
    random = np.random.default_rng(7)
    drawn = {"table": random.standard_normal((ROWS, WIDTH))}
    for number, (width_in, width_out) in enumerate(LAYERS):
        drawn[f"weight{number}"] = random.standard_normal((width_in, width_out)) / np.sqrt(width_in)
        drawn[f"bias{number}"] = random.standard_normal(width_out) / 10
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def request(items: int, seed: int) -> dict[str, Array]:
    """One request, as the views that a memory-mapped pool yields: writable, and aligned to no more than an element."""
    random = np.random.default_rng((items, seed))
    arrays: dict[str, Array] = {
        "features": random.standard_normal((items, FEATURES)).astype(np.float32),
        "ids": random.integers(0, ROWS, (items, 2)),
        "history": random.integers(0, ROWS, (1, HISTORY)),
    }
    return {name: _off_by_one_element(values) for name, values in arrays.items()}


def reference(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What the model answers, computed by numpy."""
    w = weights()
    item = w["table"][inputs["ids"]].mean(axis=1)
    history = w["table"][inputs["history"][0]]
    attention = np.exp(item @ history.T / np.sqrt(WIDTH))
    attended = attention / attention.sum(axis=1, keepdims=True) @ history
    x = np.concatenate([inputs["features"], item, attended], axis=1)
    for number in (0, 1):
        x = np.maximum(x @ w[f"weight{number}"] + w[f"bias{number}"], 0)
    logit = x @ w["weight2"] + w["bias2"]
    return {"score": (1 / (1 + np.exp(-logit)))[:, 0], "vector": x}


def model(folder: Path, formats: tuple[str, ...]) -> Model:
    """The model as the files of `formats` that `write` left in `folder`, with sample requests."""
    samples = [request(items, seed) for seed in range(CALIBRATION_REQUESTS) for items in (1, 30)]
    files = {name: folder / FILES[name] for name in formats if name in FILES}
    return Model(files, INPUTS, OUTPUTS, samples, batch_sizes=(1, 30))


def write(folder: Path, name: str) -> Path:
    """Write the model in one format, "onnx" or "exported" (which needs torch), and give its path."""
    path = folder / FILES[name]
    WRITERS[name](path)
    return path


def _off_by_one_element(values: Array) -> Array:
    buffer = np.empty(values.size + 1, values.dtype)
    view = buffer[1:].reshape(values.shape)
    view[...] = values
    return view


def _write_onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    nodes = [
        node("Gather", ["table", "ids"], ["pair"]),
        node("ReduceMean", ["pair"], ["item"], axes=[1], keepdims=0),
        node("Gather", ["table", "history"], ["histories"]),
        node("Squeeze", ["histories", "axis0"], ["past"]),
        node("Transpose", ["past"], ["past_t"], perm=[1, 0]),
        node("MatMul", ["item", "past_t"], ["dots"]),
        node("Div", ["dots", "scale"], ["scaled"]),
        node("Softmax", ["scaled"], ["attention"], axis=1),
        node("MatMul", ["attention", "past"], ["attended"]),
        node("Concat", ["features", "item", "attended"], ["x"], axis=1),
        node("Gemm", ["x", "weight0", "bias0"], ["hidden"]),
        node("Relu", ["hidden"], ["hidden_relu"]),
        node("Gemm", ["hidden_relu", "weight1", "bias1"], ["top"]),
        node("Relu", ["top"], ["vector"]),
        node("Gemm", ["vector", "weight2", "bias2"], ["logit"]),
        node("Sigmoid", ["logit"], ["probability"]),
        node("Squeeze", ["probability", "axis1"], ["score"]),
    ]
    constants = {
        **weights(),
        "axis0": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "scale": np.array(np.sqrt(WIDTH), np.float32),
    }
    value = helper.make_tensor_value_info
    inputs = [
        value("features", TensorProto.FLOAT, ["items", FEATURES]),
        value("ids", TensorProto.INT64, ["items", 2]),
        value("history", TensorProto.INT64, [1, HISTORY]),
    ]
    outputs = [
        value("score", TensorProto.FLOAT, ["items"]),
        value("vector", TensorProto.FLOAT, ["items", LAYERS[1][1]]),
    ]
    initializers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "ranker", inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _write_exported(path: Path) -> None:
    import torch
    from torch import nn

    class Ranker(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            w = {name: torch.from_numpy(values) for name, values in weights().items()}
            self.table = nn.Embedding(ROWS, WIDTH, _weight=w["table"])
            self.layers = nn.ModuleList(nn.Linear(*widths) for widths in LAYERS)
            for number, layer in enumerate(self.layers):
                layer.load_state_dict({"weight": w[f"weight{number}"].T, "bias": w[f"bias{number}"]})

        def forward(self, features: Any, ids: Any, history: Any) -> Any:
            item, past = self.table(ids).mean(1), self.table(history)[0]
            attended = torch.softmax(item @ past.T / WIDTH**0.5, dim=1) @ past
            x = torch.cat([features, item, attended], dim=1)
            for layer in self.layers[:2]:
                x = torch.relu(layer(x))
            return torch.sigmoid(self.layers[2](x))[:, 0], x

    items = torch.export.Dim("items", min=1, max=65536)
    arguments = tuple(torch.from_numpy(values) for values in request(3, 0).values())
    shapes = ({0: items}, {0: items}, None)
    torch.export.save(torch.export.export(Ranker().eval(), arguments, dynamic_shapes=shapes), path)


FILES = {"onnx": "ranker.onnx", "exported": "ranker.pt2"}
WRITERS = {"onnx": _write_onnx, "exported": _write_exported}
