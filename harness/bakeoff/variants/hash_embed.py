"""`hash-embed`: embedding tables in which several ids share a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class HashEmbed(Technique):
    """Hash the ids of every embedding table of some size to the share `rows` of its rows, unseen what they mean.

    Made for fine-tuning, or for training: a mean of unlike rows is a poor start.
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.
    """

    name: ClassVar[str] = "hash-embed"
    about: ClassVar[str] = "ids of a large embedding table share fewer rows by a hash"
    example: ClassVar[str] = "0.25"
    rows: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("rows, a share of each table's,", self.rows, zero=False)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The tables of some size hashed, the others as they are."""
        from bakeoff.variants.small_tables import HashedEmbedding, shrink

        bench.facts["hashed"] = shrink(module, HashedEmbedding, self.rows)
        return bench.finetuned(module, self.finetune)
