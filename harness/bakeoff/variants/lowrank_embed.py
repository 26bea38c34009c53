"""`lowrank-embed`: each embedding table as a narrow table and a projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_finetune, require_rank
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class LowRankEmbed(Technique):
    """Factor the embedding tables by singular value decomposition, where a narrow one and a projection are smaller.

    `rank` is a number from 1 on, or below 1 the share of each table's energy (its squared singular values) to keep.
    Lan et al., ALBERT: A Lite BERT for Self-supervised Learning of Language Representations, 2020.
    """

    name: ClassVar[str] = "lowrank-embed"
    about: ClassVar[str] = "each embedding table as a narrow one and a projection (SVD)"
    example: ClassVar[str] = "8"
    rank: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_rank(self.rank)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The tables that gain by it factored, the others as they are."""
        from torch import nn

        from bakeoff.variants.factored import FactoredEmbedding, factor

        ranks = factor(
            module, nn.Embedding, self.rank, lambda narrow, wide, _: FactoredEmbedding(narrow, wide.T.contiguous())
        )
        bench.facts["ranks"] = ranks
        return bench.finetuned(module, self.finetune)
