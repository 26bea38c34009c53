"""Two models on which an engine's habits can be seen: one that is mostly input, and one that is mostly work.

Both take one array per request, of a fixed shape, and answer one number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Model, Tensor

Array = np.ndarray[Any, Any]

LARGE, WORK = "large", "work"
SHAPES = {LARGE: (1, 1 << 24), WORK: (1, 640, 640)}
PRODUCTS = 8
OUTPUTS = ("mean",)
FILES = {"onnx": ".onnx", "exported": ".pt2"}
ALIGNMENT = 64
"""Of a request, in bytes: what a pool's first request has, so that an engine that can take it as it is may do so."""


def request(name: str) -> dict[str, Array]:
    """The model's request: float32, of 64 MiB for "large" and 1.6 MiB for "work"."""
    shape = SHAPES[name]
    size = int(np.prod(shape))
    buffer = np.empty(size + ALIGNMENT, np.float32)
    start = -(buffer.ctypes.data // 4) % (ALIGNMENT // 4)
    values = buffer[start : start + size].reshape(shape)
    values[...] = np.resize(np.random.default_rng(3).standard_normal(1 << 12, np.float32) / 32, shape)
    return {"x": values}


def model(name: str, folder: Path, formats: tuple[str, ...]) -> Model:
    """The model as files of those of its `formats` that the suite writes, in `folder`."""
    files: Mapping[str, Path] = {key: folder / (name + FILES[key]) for key in formats if key in FILES}
    for key, path in files.items():
        if not path.exists():
            _WRITERS[key](name, path)
    return Model(files, (Tensor("x", "float32", SHAPES[name], per="request"),), OUTPUTS)


def _write_onnx(name: str, path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, last = [], "x"
    if name == WORK:
        nodes.append(helper.make_node("Squeeze", ["x", "axis0"], ["square"]))
        last = "square"
        for number in range(PRODUCTS):
            nodes.append(helper.make_node("MatMul", [last, "square"], [f"product{number}"]))
            nodes.append(helper.make_node("Tanh", [f"product{number}"], [f"state{number}"]))
            last = f"state{number}"
        nodes.append(helper.make_node("Unsqueeze", [last, "axis0"], ["state"]))
        last = "state"
    axes = list(range(1, len(SHAPES[name])))
    nodes.append(helper.make_node("ReduceMean", [last], ["mean"], axes=axes, keepdims=0))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPES[name])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([0], np.int64), "axis0")] if name == WORK else [],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _write_exported(name: str, path: Path) -> None:
    import torch
    from torch import nn

    class Large(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x.mean(1),)

    class Work(nn.Module):
        def forward(self, x: Any) -> Any:
            state = x[0]
            for _ in range(PRODUCTS):
                state = torch.tanh(state @ x[0])
            return (state.unsqueeze(0).mean((1, 2)),)

    module = {LARGE: Large, WORK: Work}[name]().eval()
    torch.export.save(torch.export.export(module, (torch.zeros(SHAPES[name]),)), path)


_WRITERS = {"onnx": _write_onnx, "exported": _write_exported}
