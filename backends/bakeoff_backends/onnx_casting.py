"""Writing an ONNX file whose products are computed in fp16 or bf16, for engines that take precision from the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bakeoff.backends import Model, Unsupported
from bakeoff_backends.onnx_gemm import PRODUCTS
from bakeoff_backends.onnx_quantising import is_large

if TYPE_CHECKING:
    import onnx

OPERATORS = {"fp16": (*PRODUCTS, "Conv"), "bf16": PRODUCTS}
"""Conv takes bf16 from opset 22 on, which few exporters write."""


def cast_products(model: Model, precision: str, path: Path) -> None:
    """Write the model with its products in `precision`: weights are stored in it, other operands cast to it, and
    results back to float32. What lies between, and with it a network's last activation, stays in float32.

    Raises Unsupported where it has no product of float32 operands.
    """
    import onnx

    source = onnx.load(model.file("onnx"))
    if not cast(source, precision):
        raise Unsupported(f"{precision}: none of its {len(source.graph.node)} nodes is a MatMul, Gemm or Conv")
    large = is_large(source)
    onnx.save(source, path, save_as_external_data=large, location=path.name + ".data" if large else None)


def cast(model: onnx.ModelProto, precision: str) -> int:
    """Put the products of `model` into `precision`, in place; returns how many there were."""
    from onnx import TensorProto, helper

    element = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
    constants = {constant.name: constant for constant in model.graph.initializer}
    stored: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    products = 0
    for node in model.graph.node:
        weights = [constants[name] for name in node.input if name in constants]
        if node.op_type not in OPERATORS[precision] or any(w.data_type != TensorProto.FLOAT for w in weights):
            nodes.append(node)
            continue
        products += 1
        for position, name in enumerate(node.input):
            if not name:
                continue
            if name not in stored:
                stored[name] = f"{name}_{precision}"
                if name in constants:
                    model.graph.initializer.append(_constant(constants[name], stored[name], element))
                else:
                    nodes.append(helper.make_node("Cast", [name], [stored[name]], stored[name] + "_cast", to=element))
            node.input[position] = stored[name]
        answer, node.output[0] = node.output[0], f"{node.output[0]}_{precision}"
        back = helper.make_node("Cast", [node.output[0]], [answer], f"{answer}_cast", to=TensorProto.FLOAT)
        nodes += [node, back]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _drop_unused(model)
    return products


def _constant(constant: onnx.TensorProto, name: str, element: int) -> onnx.TensorProto:
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.to_array(constant)
    largest = np.finfo(np.float16 if element == TensorProto.FLOAT16 else np.float32).max
    narrow = values.clip(-largest, largest).astype(helper.tensor_dtype_to_np_dtype(element))
    return helper.make_tensor(name, element, values.shape, narrow.tobytes(), raw=True)


def _drop_unused(model: onnx.ModelProto) -> None:
    used = set(_read(model.graph))
    kept = [constant for constant in model.graph.initializer if constant.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that a graph and the graphs inside it (the branches of an If, the body of a Loop) read."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _read(inner)
