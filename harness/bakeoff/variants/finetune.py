"""`finetune`: the base trained on, which is the control of whatever is fine-tuned after compressing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_training
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Finetune(Technique):
    """Train the model on for `share` of the usual training, without making it smaller."""

    name: ClassVar[str] = "finetune"
    about: ClassVar[str] = "the model trained on, no smaller: the control of what is fine-tuned"
    example: ClassVar[str] = "0.25"
    trains: ClassVar[bool] = True
    share: float

    def __post_init__(self) -> None:
        require_training("share", self.share)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The same layers with other weights."""
        bench.train(module, self.share)
        return module.eval()
