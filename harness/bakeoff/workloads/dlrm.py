"""A DLRM: tables for the ids, a small MLP for the numbers, the dot products of all pairs, and an MLP on top."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dlrm(nn.Module):
    """(dense float32 [rows, numbers], sparse int64 [rows, len(sizes)]) -> probability float32 [rows].

    `width` is that of the tables. `share` makes tables and hidden layers narrower than that: a share of the usual.
    Naumov et al., Deep Learning Recommendation Model for Personalization and Recommendation Systems, 2019.
    """

    pairs: Tensor

    def __init__(self, numbers: int, sizes: Sequence[int], width: int = 16, share: float = 1) -> None:
        super().__init__()
        width, bottom, *top = (max(1, round(share * size)) for size in (width, 64, 256, 128))
        self.tables = nn.ModuleList(_table(size, width) for size in sizes)
        self.bottom = nn.Sequential(nn.Linear(numbers, bottom), nn.ReLU(), nn.Linear(bottom, width), nn.ReLU())
        vectors = len(sizes) + 1
        first, second = torch.triu_indices(vectors, vectors, 1)
        self.register_buffer("pairs", first * vectors + second)
        self.top = nn.Sequential(
            nn.Linear(width + len(first), top[0]), nn.ReLU(), nn.Linear(top[0], top[1]), nn.ReLU(), nn.Linear(top[1], 1)
        )

    def logits(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Before the sigmoid: [rows]."""
        bottom = self.bottom(dense)
        vectors = torch.stack([bottom, *(table(sparse[:, i]) for i, table in enumerate(self.tables))], dim=1)
        products = torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1)
        top: Tensor = self.top(torch.cat([bottom, products.index_select(1, self.pairs)], dim=1))
        return top.squeeze(1)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """The probability."""
        return torch.sigmoid(self.logits(dense, sparse))


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, 0, 0.01)
    return table
