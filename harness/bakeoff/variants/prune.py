"""`prune`: unstructured magnitude pruning in one shot. The zeros stay in a dense tensor, so no dense engine gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Prune(Technique):
    """Set the `ratio` of all weights of linear layers that are smallest to zero; embedding tables stay as they are.

    One threshold holds for all layers, so that those with small weights lose more of them. Han et al., Learning both
    Weights and Connections for Efficient Neural Networks, 2015; Blalock et al., What is the State of Neural Network
    Pruning?, 2020.
    """

    name: ClassVar[str] = "prune"
    about: ClassVar[str] = "zero the smallest weights of the linear layers"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same layers with zeros in them; fine-tuning keeps the zeros."""
        import torch

        from bakeoff.variants.masks import largest, pruned
        from bakeoff.variants.structure import linears

        layers = list(linears(module).values())
        if not layers:
            raise Unsupported("nothing to prune: the model has no linear layer")
        together = largest(torch.cat([layer.weight.flatten() for layer in layers]), self.ratio)
        parts = torch.split(together, [layer.weight.numel() for layer in layers])
        masks = {layer: part.reshape(layer.weight.shape) for layer, part in zip(layers, parts, strict=True)}
        return pruned(module, masks, bench, self.finetune)
