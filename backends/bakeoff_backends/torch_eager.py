"""torch, eager: the exported program called as it is, operator by operator."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

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
from bakeoff_backends import torch_graph, torch_session

REWRITES = {"bf16": torch_graph.to_bf16, "int8-dynamic": torch_graph.to_int8}


class TorchEager(Backend):
    """PyTorch without a compiler, in inference mode. Eager Python holds the GIL between operators: hence processes."""

    name: ClassVar[str] = "torch"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "processes"

    def probe(self, device: str) -> Facts:
        """torch's version, and a tiny product to see that it computes."""
        return torch_session.probe(device)

    def precisions(self, device: str) -> tuple[str, ...]:
        """bf16 only where the CPU has it: its emulation is slower than fp32."""
        return (FP32, "bf16", "int8-dynamic") if has_bf16() else (FP32, "int8-dynamic")

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into processes x threads. Eager torch fuses no operators, so none is without."""
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the program; a lower precision is tried on it here, so that what does not go says so now."""
        artifact = super().build(model, precision, setting, device, into)
        if precision in REWRITES:
            REWRITES[precision](torch_session.read(artifact.path).module())
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Read the program, rewrite it to its precision, and bind torch to the setting's threads."""
        torch_session.set_threads(setting.threads)
        module = torch_session.read(artifact.path).module()
        if artifact.precision in REWRITES:
            REWRITES[artifact.precision](module)
        return torch_session.TorchSession(module, artifact)
