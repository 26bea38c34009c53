"""A person's own compressed model files: what format they are in, and whether they fit the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bakeoff.backends import Tensor
from bakeoff.errors import UserError
from bakeoff.workloads.external import load_proto
from bakeoff.workloads.signature import Value, declared

FORMATS = {".onnx": "onnx", ".pt2": "exported"}


def variant_files(
    variants: Mapping[str, Path], inputs: Sequence[Tensor], outputs: Sequence[str]
) -> dict[str, dict[str, Path]]:
    """Variant -> format -> file; raises UserError where a file has not the signature of the base."""
    for name, path in variants.items():
        _check(name, path, inputs, outputs)
    return {name: {FORMATS[path.suffix]: path} for name, path in variants.items()}


def _check(name: str, path: Path, inputs: Sequence[Tensor], outputs: Sequence[str]) -> None:
    if path.suffix == ".onnx":
        values, named = declared(load_proto(path), path)
        if set(named) != set(outputs):
            raise UserError(f"{path}: variant {name} gives {_listed(named)}, the base gives {_listed(outputs)}")
    else:
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
