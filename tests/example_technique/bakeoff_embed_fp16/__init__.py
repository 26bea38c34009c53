"""Embedding tables in fp16 as a bakeoff technique: all that a plugin has to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants import Bench, Technique

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class HalfPrecisionTables(Technique):
    """Tables of fewer than `rows` rows stay as they are: they would save nothing to speak of."""

    name: ClassVar[str] = "embed-fp16"
    about: ClassVar[str] = "store embedding tables as fp16"
    rows: int = 64

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows must be from 1 on, not {self.rows}")

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        import torch

        from bakeoff.variants.replacing import replaced
        from bakeoff_embed_fp16.half import HalfTable

        def half(path: str, table: torch.nn.Embedding) -> HalfTable | None:
            return HalfTable(table) if table.num_embeddings >= self.rows else None

        made = replaced(module, torch.nn.Embedding, half)
        if not made:
            raise Unsupported(f"the model has no embedding table of {self.rows} rows or more")
        bench.facts["fp16_tables"] = len(made)
        return module
