"""`prune`: unstructured magnitude pruning in one shot. The zeros stay in a dense tensor, so no dense engine gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.technique import Bench, Technique, require_share

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Prune(Technique):
    """Set the `ratio` of every linear layer's weights that are smallest to zero; embedding tables stay as they are.

    Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015.
    """

    name: ClassVar[str] = "prune"
    about: ClassVar[str] = "zero the smallest weights of every linear layer"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        if not 0 <= self.finetune <= 10:
            raise ValueError(f"finetune must be from 0 to 10 times the usual training, not {self.finetune:g}")

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same layers with zeros in them; fine-tuning keeps the zeros."""
        from torch import nn
        from torch.nn.utils import prune

        layers = [each for each in module.modules() if isinstance(each, nn.Linear)]
        if not layers:
            raise Unsupported("nothing to prune: the model has no linear layer")
        for layer in layers:
            prune.l1_unstructured(layer, "weight", amount=self.ratio)  # type: ignore[no-untyped-call]
        if self.finetune:
            bench.train(module, self.finetune)
        for layer in layers:
            prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
        return module.eval()
