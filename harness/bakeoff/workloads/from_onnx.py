"""A source from a person's own ONNX file. It needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bakeoff.errors import UserError
from bakeoff.workloads import onnx_runner, own_model
from bakeoff.workloads.external import load_proto
from bakeoff.workloads.index_limits import IndexLimits
from bakeoff.workloads.own_model import OwnModel
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.signature import Value, declared
from bakeoff.workloads.source import Source, Spec


def source_of(spec: Spec) -> Source:
    """The source for the spec's file; raises UserError where it is no ONNX model that runs."""
    path = Path(spec.target)
    proto = load_proto(path)
    values, outputs = declared(proto, path)
    try:
        runner = onnx_runner.open_model(path, outputs)
    except Exception as error:
        raise UserError(f"{path}: cannot be loaded: {' '.join(str(error).split())[:400]}") from error
    model = OwnModel(path, {"onnx": path}, values, outputs, limits_of(proto, values), runner.run, runner.slow)
    return own_model.source_of(model, spec)


def limits_of(proto: object, values: tuple[Value, ...]) -> dict[str, Array]:
    """The limits of the integer inputs, by name; those that index nothing are left out."""
    limits = IndexLimits(proto)
    found = {}
    for value in values:
        if np.dtype(value.dtype).kind in "iu":
            columns = value.axes[1] if len(value.axes) == 2 and isinstance(value.axes[1], int) else None
            limit = limits.of(value.name, columns)
            if limit is not None:
                found[value.name] = limit
    return found
