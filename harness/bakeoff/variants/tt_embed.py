"""`tt-embed`: large embedding tables as tensor trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune
from bakeoff.variants.replacing import replaced
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class TensorTrainEmbed(Technique):
    """Write the embedding tables of some size as tensor trains of three cores with bonds of `rank`.

    The smallest of all tables, for a lookup that computes. A train fits a table where rows of like number are alike,
    which a trained one's are not: made for fine-tuning. Yin et al., TT-Rec: Tensor Train Compression for Deep Learning
    Recommendation Models, 2021.
    """

    name: ClassVar[str] = "tt-embed"
    about: ClassVar[str] = "a large embedding table as a tensor train: tiny tables, lookups that compute"
    example: ClassVar[str] = "8"
    rank: int
    finetune: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be a whole number from 1 on, not {self.rank}")
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The tables that gain by it as trains, the others as they are."""
        from torch import nn

        from bakeoff.variants.small_tables import SMALLEST_TABLE_ROWS
        from bakeoff.variants.tensor_train import TensorTrainEmbedding, numbers

        shapes: list[tuple[int, int]] = []

        def make(_: str, table: nn.Embedding) -> TensorTrainEmbedding | None:
            if table.num_embeddings < SMALLEST_TABLE_ROWS:
                return None
            shapes.append((table.num_embeddings, table.embedding_dim))
            if numbers(*shapes[-1], self.rank) >= table.weight.numel():
                return None
            return TensorTrainEmbedding(table.weight, self.rank)

        trains = replaced(module, nn.Embedding, make)
        if not shapes:
            raise Unsupported(f"no tensor trains: the model has no embedding table of {SMALLEST_TABLE_ROWS} rows")
        if not trains:
            raise Unsupported(f"rank {self.rank} makes no embedding table of the model smaller; a lower one may")
        bench.facts["trains"] = ", ".join(trains)
        return bench.finetuned(module, self.finetune)
