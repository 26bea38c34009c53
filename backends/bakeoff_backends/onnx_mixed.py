"""Mixed precision for ONNX Runtime: int8 for the matrix products that bear it, fp32 for those that hurt most."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Model, Setting, Unsupported
from bakeoff_backends.onnx_gemm import constant_products, unfold_gemms
from bakeoff_backends.onnx_quantising import quantise_dynamically, read
from bakeoff_backends.onnx_session import open_session

if TYPE_CHECKING:
    import onnx

Array = np.ndarray[Any, Any]

FP32_SHARE = 0.25
"""Of the products, rounded up, that stay in fp32."""
TINY = 1e-30
SAMPLES = 8
"""Sample requests on which a product's harm is measured."""


def mixed(model: Model, path: Path) -> None:
    """Write the model quantised dynamically, but for the quarter of its products whose own quantising hurts most.

    Each is quantised alone and the model's answers to some sample requests are compared with those of fp32. What
    stays in fp32 is told on stdout. Raises Unsupported where there is no sample, or but one product.
    """
    if not model.samples:
        raise Unsupported("int8-mixed needs sample requests to see which layers it hurts, and this model comes without")
    source = read(model)
    unfold_gemms(source)
    names = [node.name for node in constant_products(source)]
    if len(names) < 2:
        raise Unsupported(f"nothing to mix: {len(names)} of its nodes are a MatMul or Gemm with constant weights")
    errors = _errors_alone(source, names, model)
    worst_first = sorted(names, key=lambda name: -errors[name])
    count = math.ceil(FP32_SHARE * len(names))
    told = ", ".join(f"{name} ({errors[name]:.2g})" for name in worst_first[:count])
    sys.stdout.write(f"int8-mixed: {count} of {len(names)} products stay in fp32 (their error alone): {told}\n")
    quantise_dynamically(source, path, worst_first[count:])


def _errors_alone(source: onnx.ModelProto, names: Sequence[str], model: Model) -> dict[str, float]:
    """What rounding each product alone does to the outputs: the distance from fp32's, over their size."""
    expected = _answers(source, model)
    if not expected:
        raise Unsupported("int8-mixed compares answers, and none of the model's outputs is a float")
    errors = {}
    for name in names:
        found = _answers(_rounded_at(source, name), model)
        distances = [
            np.linalg.norm(x - y) / max(float(np.linalg.norm(y)), TINY) for x, y in zip(found, expected, strict=True)
        ]
        errors[name] = float(max(distances))
    return errors


def _rounded_at(source: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with one product's weights rounded to int8 per channel and its activation to uint8 per call, as dynamic
    quantisation rounds them, but computed in fp32: many times faster to make than a quantised file."""
    import onnx
    from onnx import helper, numpy_helper

    trial = onnx.ModelProto()
    trial.CopyFrom(source)
    nodes = list(trial.graph.node)
    place, node = next((i, node) for i, node in enumerate(nodes) if node.name == name)
    constant = next(constant for constant in trial.graph.initializer if constant.name == node.input[1])
    weight = numpy_helper.to_array(constant)
    rounded, activation = f"{name}/rounded", [f"{name}/{part}" for part in ("bytes", "scale", "zero")]
    trial.graph.initializer.append(numpy_helper.from_array(_per_channel(weight), rounded))
    before = [
        helper.make_node("DynamicQuantizeLinear", [node.input[0]], activation),
        helper.make_node("DequantizeLinear", activation, [f"{name}/input"]),
    ]
    node.input[0], node.input[1] = f"{name}/input", rounded
    del trial.graph.node[:]
    trial.graph.node.extend([*nodes[:place], *before, *nodes[place:]])
    return trial


def _per_channel(weight: Array) -> Array:
    scale = np.abs(weight).max(axis=0, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.asarray(np.round(weight / scale) * scale, np.float32)


def _answers(source: onnx.ModelProto, model: Model) -> list[Array]:
    """Each float output over the samples, end to end."""
    session = open_session(source.SerializeToString(), Setting("trial", options={"optimisation": "none"}), "cpu")
    answers = [session.run(list(model.outputs), dict(sample)) for sample in model.samples[:SAMPLES]]
    flat = [np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*answers, strict=True)]
    return [values for values in flat if values.dtype.kind == "f"]
