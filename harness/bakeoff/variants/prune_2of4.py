"""`prune-2of4`: semi-structured pruning, two of every four weights. It pays only where an engine has kernels for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Prune2of4(Technique):
    """Zero the two smallest of each four consecutive weights along the inputs of every linear layer.

    NVIDIA's sparse tensor cores skip such zeros. No engine on a CPU does (torch's semi-structured kernels are CUDA
    only): the tensors stay dense and no gain is credited there. Mishra et al., Accelerating Sparse Deep Neural
    Networks, 2021.
    """

    name: ClassVar[str] = "prune-2of4"
    about: ClassVar[str] = "zero two of every four weights; no gain but on an engine for 2:4 sparsity, none on a CPU"
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same layers with zeros in them; a layer whose inputs are no multiple of four is left as it is."""
        from bakeoff.variants.masks import pruned
        from bakeoff.variants.structure import linears

        layers = linears(module).values()
        fitting = [layer for layer in layers if layer.in_features % 4 == 0]
        if not fitting:
            raise Unsupported("nothing to prune 2:4: no linear layer has a multiple of four inputs")
        bench.facts["layers_2of4"] = f"{len(fitting)} of {len(layers)}"
        bench.facts["gain_2of4"] = "none without an engine for 2:4 sparsity; no engine on a CPU has one"
        return pruned(module, {layer: _two_of_four(layer.weight) for layer in fitting}, bench, self.finetune)


def _two_of_four(weight: torch.Tensor) -> torch.Tensor:
    """A mask of the two largest of each four consecutive weights of a row."""
    import torch

    fours = weight.detach().abs().reshape(-1, 4)
    mask = torch.zeros(fours.shape, dtype=torch.bool)
    return mask.scatter_(1, fours.topk(2, dim=1).indices, True).reshape(weight.shape)
