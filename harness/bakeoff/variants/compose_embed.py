"""`compose-embed`: embedding tables as sums of two small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ComposeEmbed(Technique):
    """Tell every id of a table of some size by its remainder and its quotient, with a small table for each.

    `rows` is the share of its rows that both keep together; they never have fewer than twice the root of their number.
    Made for fine-tuning. Shi et al., Compositional Embeddings Using Complementary Partitions for Memory-Efficient
    Recommendation Systems, 2020.
    """

    name: ClassVar[str] = "compose-embed"
    about: ClassVar[str] = "a large embedding table as the sum of two small ones, by remainder and quotient"
    example: ClassVar[str] = "0.1"
    rows: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("rows, a share of each table's,", self.rows, zero=False)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The tables of some size composed, the others as they are."""
        from bakeoff.variants.small_tables import ComposedEmbedding, shrink

        bench.facts["composed"] = shrink(module, ComposedEmbedding, self.rows)
        return bench.finetuned(module, self.finetune)
