"""`prune`: unstructured magnitude pruning in one shot. The zeros stay in a dense tensor, so no dense engine gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.technique import Bench, Technique, require_finetune, require_share

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
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same layers with zeros in them; fine-tuning keeps the zeros."""
        from bakeoff.variants.masks import largest, pruned
        from bakeoff.variants.structure import linears

        layers = linears(module).values()
        if not layers:
            raise Unsupported("nothing to prune: the model has no linear layer")
        return pruned(module, {layer: largest(layer.weight, self.ratio) for layer in layers}, bench, self.finetune)
