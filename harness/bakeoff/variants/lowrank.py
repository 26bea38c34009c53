"""`lowrank`: each linear layer as two thin ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_finetune, require_rank
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LowRank(Technique):
    """Factor the linear layers by singular value decomposition, where two factors hold fewer numbers than one matrix.

    `rank` is a number from 1 on, or below 1 the share of the energy (of the squared singular values) to keep; most of
    the outputs' energy is their mean, so that 0.999 is a usual share.
    `error` is what the cut-off leaves least wrong: the layer's "outputs" on the example requests (Chen et al., DRONE:
    Data-aware Low-rank Compression for Large NLP Models, 2021), or its "weights", the plain decomposition.
    """

    name: ClassVar[str] = "lowrank"
    about: ClassVar[str] = "each linear layer as two thin ones (SVD)"
    example: ClassVar[str] = "16"
    rank: float
    error: str = "outputs"
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_rank(self.rank)
        if self.error not in ("outputs", "weights"):
            raise ValueError(f"error must be outputs or weights, not {self.error}")
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The layers that gain by it factored, the others as they are."""
        from torch import Tensor, nn

        from bakeoff.variants.factored import FactoredLinear, factor
        from bakeoff.variants.observing import moments
        from bakeoff.variants.structure import linears

        def thin(outer: Tensor, inner: Tensor, layer: nn.Linear) -> FactoredLinear:
            return FactoredLinear(inner, outer, layer.bias)

        seen = moments(module, linears(module).values(), bench) if self.error == "outputs" and bench.examples else {}
        weighing: dict[nn.Module, Tensor] = {layer: each.second for layer, each in seen.items() if each.rows}
        bench.facts["ranks"] = factor(module, nn.Linear, self.rank, thin, weighing)
        bench.facts["least_error_of"] = "outputs" if weighing else "weights"
        return bench.finetuned(module, self.finetune)
