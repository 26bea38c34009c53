"""The layer, apart from the technique: its class needs torch, and has to be found again by pickle."""

from __future__ import annotations

import torch


class HalfTable(torch.nn.Module):
    def __init__(self, table: torch.nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("weight", table.weight.detach().half())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(ids, self.weight).float()
