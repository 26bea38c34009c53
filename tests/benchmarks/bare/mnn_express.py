"""MNN's module: forward, and read what comes out, for it may compute no sooner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={
        "shape_mutable": (False, True),
        "precision": ("high", "normal"),
        "memory": ("normal", "high", "low"),
        "power": ("normal", "high"),
    }
)


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """One thread; the module plans anew when another size of request comes."""
    from MNN import expr, nn

    chosen = {name: str(options.get(name, KNOBS.session[name][0])) for name in ("precision", "memory", "power")}
    manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": 1, **chosen},))
    module = nn.load_module_from_file(
        str(artifact.path),
        [tensor.name for tensor in artifact.inputs],
        list(artifact.outputs),
        runtime_manager=manager,
        shape_mutable=bool(options.get("shape_mutable", False)),
    )

    def given(request: Arrays) -> list[Any]:
        made = []
        for tensor in artifact.inputs:
            floats = request[tensor.name].dtype.kind == "f"
            values = np.ascontiguousarray(request[tensor.name], np.float32 if floats else np.int32)
            kind = expr.float if floats else expr.int
            made.append(expr.const(values, list(values.shape), expr.data_format.NCHW, kind))
        return made

    def call(inputs: list[Any]) -> list[Any]:
        return [output.read() for output in module.forward(inputs)]

    return Loop(given, call)
