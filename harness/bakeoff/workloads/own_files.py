"""A person's own compressed model files: what format they are in, whether they fit the base, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnx import TensorProto

from bakeoff.backends import Arrays, Tensor
from bakeoff.errors import UserError
from bakeoff.workloads import onnx_runner
from bakeoff.workloads.external import load_proto, tensors
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.signature import Value, declared

FORMATS = {".onnx": "onnx", ".pt2": "exported"}
ROUNDING = ("quantize", "qlinear", "integer", "nbits", "int_mm")
"""What operators that round are called in part: DynamicQuantizeLinear, MatMulInteger, quantize_per_tensor, …"""
HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})

Run = Callable[[Arrays], Mapping[str, Array]]


def variant_files(
    variants: Mapping[str, Path], inputs: Sequence[Tensor], outputs: Sequence[str]
) -> dict[str, dict[str, Path]]:
    """Variant -> format -> file; raises UserError where a file has not the signature of the base."""
    for name, path in variants.items():
        _check(name, path, inputs, outputs)
    return {name: {FORMATS[path.suffix]: path} for name, path in variants.items()}


def runner(name: str, path: Path, inputs: Sequence[Tensor], outputs: Sequence[str]) -> Run:
    """What answers requests as a variant's file says; raises UserError, now or when called, where it does not run."""
    try:
        run = _opened(path, inputs, outputs)
    except Exception as error:
        raise UserError(f"{path}: variant {name} cannot be loaded: {_one_line(error)}") from error

    def answer(request: Arrays) -> Mapping[str, Array]:
        try:
            return run(request)
        except Exception as error:
            raise UserError(f"{path}: variant {name} does not run with the requests: {_one_line(error)}") from error

    return answer


def _opened(path: Path, inputs: Sequence[Tensor], outputs: Sequence[str]) -> Run:
    if path.suffix == ".onnx":
        return onnx_runner.open_model(path, outputs).run
    from bakeoff.workloads import exporting
    from bakeoff.workloads.torch_program import load_program

    module = load_program(path).module
    return lambda request: exporting.run(module, inputs, outputs, request)


def is_inexact(path: Path) -> bool:
    """Whether a file's model rounds inside, to integers or to halves: engines round differently."""
    if path.suffix == ".onnx":
        return _rounds_in_onnx(load_proto(path))
    import torch

    from bakeoff.workloads.torch_program import load_program

    nodes = load_program(path).exported.graph.nodes
    values = [node.meta.get("val") for node in nodes]
    halves = any(isinstance(value, torch.Tensor) and value.dtype in (torch.half, torch.bfloat16) for value in values)
    return halves or any(_rounds(str(node.target)) for node in nodes if node.op == "call_function")


def _rounds_in_onnx(model: Any) -> bool:
    nodes = [*_nodes(model.graph), *(node for function in model.functions for node in function.node)]
    casts = {attribute.i for node in nodes if node.op_type == "Cast" for attribute in node.attribute}
    types = {tensor.data_type for tensor in tensors(model.graph)} | casts
    return bool(types & HALVES) or any(_rounds(node.op_type) for node in nodes)


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _nodes(inner)


def _rounds(operator: str) -> bool:
    return any(part in operator.lower() for part in ROUNDING)


def _check(name: str, path: Path, inputs: Sequence[Tensor], outputs: Sequence[str]) -> None:
    if path.suffix == ".onnx":
        values, named = declared(load_proto(path), path)
        if set(named) != set(outputs):
            raise UserError(f"{path}: variant {name} gives {_listed(named)}, the base gives {_listed(outputs)}")
    else:
        if find_spec("torch") is None:
            raise UserError(f"{path}: needs torch; Hint: pip install 'bakeoff[workloads]'")
        from bakeoff.workloads.torch_program import load_program

        program = load_program(path)
        values = program.values
        if len(program.outputs) != len(outputs):
            raise UserError(
                f"{path}: variant {name} gives {len(program.outputs)} outputs, the base gives {len(outputs)}"
            )
    theirs = {value.name: value for value in values}
    if set(theirs) != {tensor.name for tensor in inputs}:
        wanted = _listed([tensor.name for tensor in inputs])
        raise UserError(f"{path}: variant {name} takes {_listed(list(theirs))}, the base takes {wanted}")
    if path.suffix != ".onnx" and list(theirs) != [tensor.name for tensor in inputs]:
        order = _listed([tensor.name for tensor in inputs])
        raise UserError(
            f"{path}: variant {name} takes {_listed(list(theirs))} by place; export it in the base's order, {order}"
        )
    for tensor in inputs:
        if not _fits(theirs[tensor.name], tensor):
            raise UserError(
                f"{path}: variant {name} takes {tensor.name} as {_described(theirs[tensor.name])},"
                f" the base as {tensor.dtype} {_shape(tensor.shape)}"
            )


def _fits(value: Value, tensor: Tensor) -> bool:
    lengths = zip(value.axes, tensor.shape, strict=False)
    return (
        value.dtype == tensor.dtype
        and len(value.axes) == len(tensor.shape)
        and all(not isinstance(own, int) or base is None or own == base for own, base in lengths)
    )


def _described(value: Value) -> str:
    return f"{value.dtype} {_shape(value.axes)}"


def _shape(axes: Sequence[int | str | None]) -> str:
    return "[" + ", ".join("?" if axis is None else str(axis) for axis in axes) + "]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
