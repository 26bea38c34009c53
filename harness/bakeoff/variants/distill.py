"""`distill` and `student`: a smaller model, taught by the base or trained alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_share, require_training
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Distill(Technique):
    """Train the workload's student of about `size` of the base on the base's soft labels beside the true ones.

    `share` is how long, in the usual training. Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """

    name: ClassVar[str] = "distill"
    about: ClassVar[str] = "a smaller student, trained on what the base answers"
    begins: ClassVar[bool] = True
    size: float = 0.5
    share: float = 1.0

    def __post_init__(self) -> None:
        require_share("size", self.size, zero=False)
        require_training("share", self.share)

    @property
    def control(self) -> str:
        """The same student, trained as long without a teacher."""
        share = "" if self.share == 1 else f":share={self.share:g}"
        return f"student:{self.size:g}{share}"

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The student; the base is its teacher."""
        student = bench.student(self.size)
        bench.train(student, self.share, teacher=module.eval())
        return student.eval()


@dataclass(frozen=True, slots=True)
class Student(Technique):
    """Train the workload's student of about `size` of the base alone: what distillation has to beat."""

    name: ClassVar[str] = "student"
    about: ClassVar[str] = "the student of distill, trained without a teacher: its control"
    begins: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    size: float = 0.5
    share: float = 1.0

    def __post_init__(self) -> None:
        require_share("size", self.size, zero=False)
        require_training("share", self.share)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The student; the base is not used."""
        student = bench.student(self.size)
        bench.train(student, self.share)
        return student.eval()
