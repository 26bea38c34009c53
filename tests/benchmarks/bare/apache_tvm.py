"""A Relax VM called on TVM's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.backends import Arrays, Artifact, Model, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(build={"pipeline": ("scheduled", "default", "zero")})
"""The plugin's schedule, and the pipelines that TVM brings for a CPU."""


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """The library's main function; its pool has the threads that the environment says."""
    import tvm
    from tvm import relax

    main = relax.VirtualMachine(tvm.runtime.load_module(str(artifact.path)), tvm.cpu())["main"]

    def given(request: Arrays) -> list[Any]:
        return [tvm.runtime.tensor(request[tensor.name]) for tensor in artifact.inputs]

    return Loop(given, lambda tensors: main(*tensors))


def build(model: Model, options: Mapping[str, Option], into: Path) -> Path:
    """The imported program through one of TVM's own pipelines."""
    import tvm

    from bakeoff_backends import apache_tvm_import, apache_tvm_schedule

    _, module = apache_tvm_import.read(model.file("exported"))
    target = tvm.target.Target(apache_tvm_schedule.cpu_target(1))
    tvm.compile(module, target, relax_pipeline=options["pipeline"]).export_library(str(into / "model.so"))
    return into / "model.so"
