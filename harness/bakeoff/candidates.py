"""A candidate: one thing that could be deployed, with an id that stays the same from run to run."""

from __future__ import annotations

from dataclasses import dataclass

from bakeoff.backends import LOSSLESS, Setting
from bakeoff.scenario.endpoint import ENDPOINT
from bakeoff.scenario.environment import APART
from bakeoff.scenario.recipe import BASE

__all__ = ["BASE", "Candidate"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Workload x variant x precision x backend x setting x device; the workload is the scenario's."""

    backend: str
    precision: str
    setting: Setting
    variant: str = BASE
    device: str = "cpu"

    @property
    def id(self) -> str:
        """Such as "onnxruntime/fp32/1x1", with "/student" and "/cuda" appended where they are not base and cpu."""
        parts = [self.backend, self.precision, self.setting.name]
        parts += [part for part, usual in ((self.variant, BASE), (self.device, "cpu")) if part != usual]
        return "/".join(parts)

    @property
    def remote(self) -> bool:
        """Whether it is a server elsewhere, whose precision, CPU time, memory and threads cannot be seen from here."""
        return self.backend.partition(APART)[0] == ENDPOINT

    @property
    def lossy(self) -> bool:
        """Whether it may change the model's answers: any precision but fp32, any variant but the base."""
        return self.precision not in LOSSLESS or self.variant != BASE
