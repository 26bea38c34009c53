"""torch, eager: the exported program called as it is, operator by operator, on the CPU or on NVIDIA's GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import (
    FP32,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Resources,
    Session,
    Setting,
    has_bf16,
    splits,
)
from bakeoff_backends import torch_cuda, torch_graph, torch_session, torch_tables
from bakeoff_backends.torch_cuda_graphs import GraphRunner
from bakeoff_backends.torch_split import SplitRunner

if TYPE_CHECKING:
    from torch.fx import GraphModule

REWRITES: Mapping[str, Callable[[GraphModule], None]] = {
    "int8-dynamic": torch_graph.to_int8,
    **{name: partial(torch_graph.to_half, precision=name) for name in torch_graph.HALVES},
}
ON_CPU, SHARED_OUT = "cpu", "gpus"
"""Where the setting's option `tables` has the embedding tables, if not with the rest."""


class TorchEager(Backend):
    """PyTorch without a compiler, in inference mode. Eager Python holds the GIL between operators: hence processes."""

    name: ClassVar[str] = "torch"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"

    def probe(self, device: str) -> Facts:
        """torch's version, and a tiny product to see that it computes."""
        return torch_session.probe(device)

    def precisions(self, device: str) -> tuple[str, ...]:
        """On the CPU bf16 only where it has it: its emulation is slower than fp32. On a GPU fp32 is never TF32."""
        if device == "cuda":
            return torch_cuda.precisions()
        return (FP32, "bf16", "int8-dynamic") if has_bf16() else (FP32, "int8-dynamic")

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads. Eager torch fuses no operators, so none is without.

        On a GPU also with its kernels played back as CUDA graphs ("-graphs"); with several GPUs the embedding tables
        shared out among them ("-tables-sharded"); on request the tables on the CPU ("-tables-on-cpu").
        """
        plain = splits(resources)
        ways: list[tuple[str, Mapping[str, bool | str], bool]] = []
        if resources.gpus:
            ways.append(("graphs", {"graphs": True}, False))
        if resources.gpus > 1:
            ways.append(("tables-sharded", {"tables": SHARED_OUT}, False))
        if resources.gpus:
            ways.append(("tables-on-cpu", {"tables": ON_CPU}, True))
        return (
            *plain,
            *(
                Setting(f"{s.name}-{name}", s.threads, s.instances, options, on_request=on_request)
                for name, options, on_request in ways
                for s in plain
            ),
        )

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the program; a lower precision is tried on it here, so that what does not go says so now."""
        artifact = super().build(model, precision, setting, device, into)
        if precision in REWRITES:
            REWRITES[precision](torch_session.read(artifact.path).module())
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Read the program, rewrite it to its precision, and bind torch to the setting's threads.

        Raises Unsupported where the setting sets embedding tables apart and the model has not enough of them.
        """
        torch_session.set_threads(setting.threads)
        module = torch_session.read(artifact.path).module()
        if artifact.precision in REWRITES:
            REWRITES[artifact.precision](module)
        if device == "cpu":
            return torch_session.TorchSession(module, artifact)
        torch_cuda.multiply_in(artifact.precision)
        return torch_cuda.CudaSession(_runner(module, setting), artifact)


def _runner(module: GraphModule, setting: Setting) -> torch_cuda.Runner:
    """The module on the GPU as the setting wants it."""
    import torch

    home, tables = torch.device("cuda", 0), setting.options.get("tables")
    if tables is None:
        runner = GraphRunner if setting.options.get("graphs") else torch_cuda.Runner
        return runner(torch_tables.moved(module, home), home)
    gpus = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    places = [torch.device("cpu")] if tables == ON_CPU else gpus
    return SplitRunner(torch_tables.take_apart(module, len(places)), places, home)
