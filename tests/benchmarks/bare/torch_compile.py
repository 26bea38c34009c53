"""A package of AOTInductor's, loaded and called."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.backends import Arrays, Artifact, Model, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={"run_single_threaded": (False, True)},
    build={"freezing": ("the sooner", False, True), "max_autotune": (False, True)},
)


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """The package as `aoti_load_package` gives it."""
    import torch

    torch.set_num_threads(1)
    single = bool(options.get("run_single_threaded", False))
    model = torch._inductor.aoti_load_package(str(artifact.path), run_single_threaded=single)

    def call(tensors: tuple[Any, ...]) -> Any:
        with torch.inference_mode():
            return model(*tensors)

    def given(request: Arrays) -> tuple[Any, ...]:
        return tuple(torch.from_numpy(request[tensor.name]) for tensor in artifact.inputs)

    return Loop(given, call)


def build(model: Model, options: Mapping[str, Option], into: Path) -> Path:
    """The program compiled with these of Inductor's options."""
    os.environ.update(TORCHINDUCTOR_CACHE_DIR=str(into / "inductor"), TORCHINDUCTOR_COMPILE_THREADS="1")
    import torch

    torch.set_num_threads(1)
    path, asked = into / "model.pt2", {**options, "freezing": options["freezing"] is True}
    with torch.no_grad():
        program = torch.export.load(model.file("exported"))
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=asked)
    shutil.rmtree(into / "inductor", ignore_errors=True)
    return path
