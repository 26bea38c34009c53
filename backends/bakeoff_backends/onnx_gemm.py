"""Rewriting an ONNX graph's Gemm nodes as MatMul and Add, which ONNX Runtime's quantisers know better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

PRODUCTS = ("MatMul", "Gemm")


def constant_products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The matrix products whose weights are constants of two axes."""
    matrices = {constant.name for constant in model.graph.initializer if len(constant.dims) == 2}
    return [node for node in model.graph.node if node.op_type in PRODUCTS and node.input[1] in matrices]


def unfold_gemms(model: onnx.ModelProto) -> None:
    """Turn each Gemm with constant weights and no scaling into a MatMul of its name, and an Add where it has a bias."""
    from onnx import numpy_helper

    constants = {constant.name: constant for constant in model.graph.initializer}
    products = {node.name for node in constant_products(model)}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        knobs = _knobs(node)
        if node.name not in products or node.op_type != "Gemm" or not knobs <= {("transB", 1)}:
            nodes.append(node)
            continue
        weight = node.input[1]
        if knobs:
            weight = f"{weight}/transposed"
            if weight not in constants:
                turned = np.ascontiguousarray(numpy_helper.to_array(constants[node.input[1]]).T)
                constants[weight] = numpy_helper.from_array(turned, weight)
                model.graph.initializer.append(constants[weight])
        nodes += _matmul_and_add(node, weight)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _knobs(node: onnx.NodeProto) -> set[tuple[str, float]]:
    """The attributes that make a Gemm more than a product and a sum."""
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    found = {item.name: item.f if item.name in ("alpha", "beta") else item.i for item in node.attribute}
    return {(name, value) for name, value in found.items() if usual.get(name) != value}


def _matmul_and_add(gemm: onnx.NodeProto, weight: str) -> list[onnx.NodeProto]:
    from onnx import helper

    (result,) = gemm.output
    if len(gemm.input) < 3:
        return [helper.make_node("MatMul", [gemm.input[0], weight], [result], gemm.name)]
    product = f"{result}/product"
    return [
        helper.make_node("MatMul", [gemm.input[0], weight], [product], gemm.name),
        helper.make_node("Add", [product, gemm.input[2]], [result], f"{gemm.name}/bias"),
    ]
