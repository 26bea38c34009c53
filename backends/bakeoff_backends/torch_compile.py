"""torch, compiled ahead of time by AOTInductor into a shared library.

Preferred to torch.compile, measured with one thread (p50, microseconds, batch 1 / 32 / 256): a small DLRM takes
29 / 76 / 398 against 131 / 219 / 561, a two-layer transformer 406 / 10,538 / 95,335 against 600 / 11,145 / 95,357. Its
library also loads without a compiler, where torch.compile compiles again in every new process.

int8 is on request: whether it pays depends on the model (docs/engines.md). int8-dynamic is torchao's `quantize_`, which
scales each row by itself and calls one product of bytes per layer; int8-static is torchao's PT2E with oneDNN's
quantised layers. Not offered: weight-only int8, which Inductor multiplies in fp32; PT2E's dynamic form, which scales
all of a call's rows alike; and PT2E with max-autotune (the dynamic form's build ended in a double free, torch 2.13).
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.backends import (
    FP32,
    Arrays,
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
from bakeoff_backends import torch_cuda, torch_graph, torch_quantising, torch_session
from bakeoff_backends.torch_cuda_graphs import GraphRunner

COMPILERS = ("g++", "clang++", "c++")
NO_SHARED_HEADERS = {"aot_inductor.precompile_headers": False, "cpp_cache_precompile_headers": False}
"""Inductor would keep precompiled headers under /tmp for ever, wherever its cache is, and the first take longer."""
NO_FUSION = {"epilogue_fusion": False, "max_fusion_size": 1}
PASS_S, PASSES = 0.5, 5
SHORT_CALL_S = 1e-3
"""What a call of a library for products costs shows in calls as short as this."""
KERNELS_INSIDE = {"aot_inductor.embed_kernel_binary": True}
"""A GPU's kernels, which the library would otherwise look for in the folder that `_load` removes."""


class TorchCompile(Backend):
    """AOTInductor on the CPU or on a GPU. Its runner holds the GIL for the whole call: hence processes."""

    name: ClassVar[str] = "torch-compile"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"
    on_request: ClassVar[frozenset[str]] = frozenset(torch_quantising.PRECISIONS)

    def probe(self, device: str) -> Facts:
        """torch's version and the C++ compiler; raises Unavailable without either, and on a GPU without Triton."""
        facts = torch_session.probe(device)
        if device == "cuda" and find_spec("triton") is None:
            raise Unavailable("Inductor writes a GPU's kernels in Triton, which is not installed", "pip install triton")
        return Facts(facts.version, {**facts.details, "compiler": _compiler()})

    def precisions(self, device: str) -> tuple[str, ...]:
        """On the CPU bf16 only where it has it, and int8 where it has VNNI and torchao is here. On a GPU fp32 is never
        TF32."""
        if device == "cuda":
            return torch_cuda.precisions()
        return (FP32, *(("bf16",) if has_bf16() else ()), *torch_quantising.precisions())

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads.

        On request, "-nofuse": Inductor's scheduler then joins no two loops, and no loop to a matrix product. What its
        lowering inlines, element-wise steps into their one user, no setting of Inductor's keeps apart.
        On a GPU also "-graphs": its kernels are played back as CUDA graphs, as torch.compile's reduce-overhead does.
        On request "-autotune": that, and kernels for products chosen by timing them (max-autotune) for minutes.
        """
        plain = splits(resources)
        unfused = [
            Setting(f"{s.name}-nofuse", s.threads, s.instances, {"fusion": False}, on_request=True) for s in plain
        ]
        if not resources.gpus:
            return (*plain, *unfused)
        graphs = [Setting(f"{s.name}-graphs", s.threads, s.instances, {"graphs": True}) for s in plain]
        both = {"graphs": True, "autotune": True}
        tuned = [Setting(f"{s.name}-autotune", s.threads, s.instances, both, on_request=True) for s in plain]
        return (*plain, *graphs, *tuned, *unfused)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """The number of threads, which Inductor writes into the code it generates, and whether it fuses and tunes."""
        return {"threads": setting.threads} | {k: v for k, v in setting.options.items() if k != "graphs"}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Compile the program for the setting's threads; Inductor's caches live and die inside `into`.

        On a CPU weights may be frozen: repacked for oneDNN once and not at each call. bf16 always is, which is a tenth
        to a fifth faster, and int8, whose kernels Inductor finds for frozen weights alone. For fp32 it depends on the
        model, the items of a call and the CPU (docs/engines.md): both are built, where calls are short also with
        products chosen by timing them (max-autotune), whose kernels come without a library's overhead, and the soonest
        through the samples is kept; stdout tells which.
        """
        self.require(precision, device)
        path, caches = into / "model.pt2", into / "inductor"
        os.environ.update(CXX=_compiler(), TORCHINDUCTOR_CACHE_DIR=str(caches), TORCHINDUCTOR_COMPILE_THREADS="1")
        torch_session.set_threads(setting.threads)
        made: dict[str, Artifact] = {}

        def add(**options: bool) -> None:
            package = into / f"model-{len(made)}.pt2"
            _compile(model, package, precision, device, {**options, **_options(setting)})
            name = "+".join(option for option, on in options.items() if on) or "plain"
            made[name] = Artifact(package, precision, model.inputs, model.outputs)

        def call_s() -> list[float]:
            return times_s([self.load(each, setting, device) for each in made.values()], model.samples)

        def attempt(**options: bool) -> None:
            try:
                add(**options)
            except Exception:
                traceback.print_exc()

        on_cpu = device == "cpu"
        add(freezing=on_cpu and precision != FP32)
        if on_cpu and precision == FP32:
            attempt(freezing=True)
        if len(made) > 1 and 0.0 < min(call_s()) < SHORT_CALL_S:
            attempt(freezing=True, max_autotune=True)
        found_s = call_s() if len(made) > 1 else [0.0]
        kept = list(made)[found_s.index(min(found_s))]
        told = ", ".join(f"{name} {seconds * 1e6:.0f} us" for name, seconds in zip(made, found_s, strict=True))
        sys.stdout.write(f"{precision}: kept the build {kept}, a call on average: {told}\n" if len(made) > 1 else "")
        made[kept].path.rename(path)
        for other in into.glob("model-*.pt2"):
            other.unlink()
        shutil.rmtree(caches, ignore_errors=True)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Load the compiled library and bind torch to the setting's threads.

        The package's own call reads its signature anew each time, which costs as much as a small model: the session
        goes by the loader, which takes and gives flat lists.
        """
        torch_session.set_threads(setting.threads)
        graphs = bool(setting.options.get("graphs", False))
        run = _load(artifact.path, graphs).loader.boxed_run

        def model(*tensors: Any) -> Any:
            return run(list(tensors))

        if device == "cpu":
            return torch_session.TorchSession(model, artifact, flat=True)
        import torch

        torch_cuda.multiply_in(artifact.precision)
        home = torch.device("cuda", 0)
        runner = GraphRunner(model, home) if graphs else torch_cuda.Runner(model, home)
        return torch_cuda.CudaSession(runner, artifact)


def _compile(model: Model, package: Path, precision: str, device: str, options: Mapping[str, Any]) -> None:
    import torch
    from torch.export.passes import move_to_device_pass

    program = torch_session.read(model.file(*TorchCompile.formats))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if precision in torch_graph.HALVES:
            program = torch_graph.in_half(program, precision)
        if precision in torch_quantising.PRECISIONS:
            program = torch_quantising.quantised(program, model, precision)
        options = {**NO_SHARED_HEADERS, **options}
        if device == "cuda":
            options |= KERNELS_INSIDE
            torch_cuda.multiply_in(precision)
            program = move_to_device_pass(program, "cuda:0")
        torch._inductor.aoti_compile_and_package(program, package_path=str(package), inductor_configs=options)
    if precision in torch_quantising.PRECISIONS:
        torch_quantising.require_kernels(program, package)


def times_s(sessions: Sequence[Session], samples: Sequence[Arrays]) -> list[float]:
    """How long a call takes each of the sessions, on average over the samples or as many of them as a pass has time
    for; 0 without samples. They take turns, so that whatever else the machine does hits all alike."""
    played = list(_until(PASS_S, sessions[0], samples))
    if not played:
        return [0.0] * len(sessions)
    times: list[list[float]] = [[] for _ in sessions]
    for turn in range(1 + PASSES):
        for which, session in enumerate(sessions):
            begun = time.perf_counter()
            for sample in played:
                session.infer(sample)
            if turn:  # the first warms up
                times[which].append(time.perf_counter() - begun)
    return [statistics.median(each) / len(played) for each in times]


def _until(seconds: float, session: Session, samples: Sequence[Arrays]) -> Iterator[Arrays]:
    """The samples that a session answers within that time, at least the first."""
    begun = time.perf_counter()
    for sample in samples:
        session.infer(sample)
        yield sample
        if time.perf_counter() - begun > seconds:
            return


def _options(setting: Setting) -> dict[str, Any]:
    """Inductor's options for a setting's own."""
    unfused = NO_FUSION if setting.options.get("fusion") is False else {}
    return {**unfused, **({"max_autotune": True} if setting.options.get("autotune") else {})}


def _compiler() -> str:
    """The C++ compiler that Inductor shall call; raises Unavailable where there is none."""
    for name in filter(None, (os.environ.get("CXX"), *COMPILERS)):
        if path := shutil.which(name):
            return path
    raise Unavailable("AOTInductor needs a C++ compiler and none is on PATH", "apt install g++, or set CXX to one")


def _load(path: Path, graphs: bool) -> Any:
    """The package's model. Unpacked into TMPDIR and removed once mapped, so that a killed worker leaves nothing.

    Where CUDA `graphs` are to hold it, without the locks by which it waits between threads.
    """
    import torch

    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="bakeoff-aoti-") as unpacked:
        os.environ["TMPDIR"] = unpacked
        try:
            return torch._inductor.aoti_load_package(str(path), run_single_threaded=graphs)
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before
