"""A source from a person's own torch.export file (.pt2), turned into ONNX as well where it can be."""

from __future__ import annotations

from pathlib import Path

from bakeoff.backends import Tensor
from bakeoff.workloads import exporting, own_model
from bakeoff.workloads.external import load_proto
from bakeoff.workloads.from_onnx import limits_of
from bakeoff.workloads.own_model import OwnModel
from bakeoff.workloads.source import Source, Spec
from bakeoff.workloads.torch_program import load_program, table_limits


def source_of(spec: Spec) -> Source:
    """The source for the spec's file; raises UserError where it is no program that runs."""
    path = Path(spec.target)
    program = load_program(path)
    inputs = [
        Tensor(value.name, value.dtype, tuple(axis if isinstance(axis, int) else None for axis in value.axes))
        for value in program.values
    ]
    place = spec.into / "base" / "model.onnx"
    place.parent.mkdir(parents=True, exist_ok=True)
    example = program.exported.example_inputs
    onnx = None
    if example is not None:
        onnx = exporting.to_onnx(
            program.exported.module(), program.exported, inputs, program.outputs, example[0], place
        )
    limits = limits_of(load_proto(onnx), program.values) if onnx else table_limits(program)
    files = {"exported": path, **({"onnx": onnx} if onnx else {})}

    model = OwnModel(
        path,
        files,
        program.values,
        program.outputs,
        limits,
        lambda request: exporting.run(program.module, inputs, program.outputs, request),
        slow=False,
    )
    return own_model.source_of(model, spec)
