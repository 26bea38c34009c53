"""torch, compiled ahead of time by AOTInductor into a shared library.

Preferred to torch.compile, measured with one thread (p50, microseconds, batch 1 / 32 / 256): a small DLRM takes
29 / 76 / 398 against 131 / 219 / 561, a two-layer transformer 406 / 10,538 / 95,335 against 600 / 11,145 / 95,357. Its
library also loads without a compiler, where torch.compile compiles again in every new process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.backends import (
    FP32,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Option,
    Resources,
    Session,
    Setting,
    Unavailable,
    has_bf16,
    splits,
)
from bakeoff_backends import torch_graph, torch_session

COMPILERS = ("g++", "clang++", "c++")
NO_SHARED_HEADERS = {"aot_inductor.precompile_headers": False, "cpp_cache_precompile_headers": False}
"""Inductor would keep precompiled headers under /tmp for ever, wherever its cache is, and the first take longer."""
NO_FUSION = {"epilogue_fusion": False, "max_fusion_size": 1}


class TorchCompile(Backend):
    """AOTInductor on the CPU. Its runner holds the GIL for the whole call: hence processes."""

    name: ClassVar[str] = "torch-compile"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"

    def probe(self, device: str) -> Facts:
        """torch's version and the C++ compiler; raises Unavailable without either."""
        facts = torch_session.probe(device)
        return Facts(facts.version, {**facts.details, "compiler": _compiler()})

    def precisions(self, device: str) -> tuple[str, ...]:
        """bf16 only where the CPU has it."""
        return (FP32, "bf16") if has_bf16() else (FP32,)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads.

        On request, "-nofuse": Inductor's scheduler then joins no two loops, and no loop to a matrix product. What its
        lowering inlines, element-wise steps into their one user, no setting of Inductor's keeps apart.
        """
        plain = splits(resources)
        unfused = [
            Setting(f"{s.name}-nofuse", s.threads, s.instances, {"fusion": False}, on_request=True) for s in plain
        ]
        return (*plain, *unfused)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """The number of threads, which Inductor writes into the code it generates, and whether it fuses."""
        return {"threads": setting.threads, **setting.options}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Compile the program for the setting's threads; Inductor's caches live and die inside `into`.

        bf16 is frozen, so that its weights are packed once and not at each call (a tenth to a fifth faster). fp32 is
        not: the frozen fp32 kernels cost a small model three times its latency at batch 1.
        """
        self.require(precision, device)
        source, path, caches = model.file(*self.formats), into / "model.pt2", into / "inductor"
        os.environ.update(CXX=_compiler(), TORCHINDUCTOR_CACHE_DIR=str(caches), TORCHINDUCTOR_COMPILE_THREADS="1")
        torch_session.set_threads(setting.threads)
        import torch

        program = torch_session.read(source)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if precision == "bf16":
                program = torch_graph.in_bf16(program)
            unfused = NO_FUSION if setting.options.get("fusion") is False else {}
            options = {**NO_SHARED_HEADERS, "freezing": precision == "bf16", **unfused}
            torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
        shutil.rmtree(caches, ignore_errors=True)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Load the compiled library and bind torch to the setting's threads.

        The package's own call reads its signature anew each time, which costs as much as a small model: the session
        goes by the loader, which takes and gives flat lists.
        """
        torch_session.set_threads(setting.threads)
        run = _load(artifact.path).loader.boxed_run
        return torch_session.TorchSession(lambda *tensors: run(list(tensors)), artifact, flat=True)


def _compiler() -> str:
    """The C++ compiler that Inductor shall call; raises Unavailable where there is none."""
    for name in filter(None, (os.environ.get("CXX"), *COMPILERS)):
        if path := shutil.which(name):
            return path
    raise Unavailable("AOTInductor needs a C++ compiler and none is on PATH", "apt install g++, or set CXX to one")


def _load(path: Path) -> Any:
    """The package's model. Unpacked into TMPDIR and removed once mapped, so that a killed worker leaves nothing."""
    import torch

    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="bakeoff-aoti-") as unpacked:
        os.environ["TMPDIR"] = unpacked
        try:
            return torch._inductor.aoti_load_package(str(path))
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
