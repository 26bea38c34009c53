"""SASRec: a causal transformer reads what a user did, and its last state is matched with the candidates' embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0
"""The id that fills a short history from the left; items are numbered from 1 on."""
_MASKED = -1e4
"""Added to the attention of what must not be seen; twice as much is still a number in half precision."""


class SasRec(nn.Module):
    """(history int64 [1, length], candidates int64 [rows]) -> score float32 [rows].

    Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
    """

    causal: Tensor
    order: Tensor

    def __init__(self, items: int, length: int, width: int, blocks: int, heads: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        self.length = length
        self.items = _table(items + 1, width)
        self.positions = _table(length, width)
        self.register_buffer("order", torch.arange(length))
        self.register_buffer("causal", torch.full((length, length), _MASKED).triu(1))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)

    def states(self, history: Tensor) -> Tensor:
        """What is known of the user after each of the history's items: [users, length, width]."""
        state = self.dropout(self.items(history) + self.positions(self.order))
        padding = (history == PADDING).to(state.dtype) * _MASKED
        mask = self.causal + padding.unsqueeze(1).unsqueeze(1)
        for block in self.blocks:
            state = block(state, mask)
        states: Tensor = self.norm(state)
        return states

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        """One user's history is read once, for all candidates."""
        last = self.states(history)[:, self.length - 1]
        return torch.matmul(self.items(candidates), last.transpose(0, 1)).squeeze(1)


class Block(nn.Module):
    """Attention and a feed-forward network, each behind a layer norm and beside a residual path."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feedforward_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, mask: Tensor) -> Tensor:
        """[users, length, width] in and out; `mask` is added to the attention's scores."""
        state = state + self.dropout(self.attention(self.attention_norm(state), mask))
        out: Tensor = state + self.dropout(self.feedforward(self.feedforward_norm(state)))
        return out


class Attention(nn.Module):
    """Scaled dot-product attention; `heads` heads of `head_width` each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.query, self.key, self.value = (nn.Linear(width, heads * self.head_width) for _ in range(3))
        self.out = nn.Linear(heads * self.head_width, width)

    def forward(self, state: Tensor, mask: Tensor) -> Tensor:
        """[users, length, width] in and out."""
        query, key, value = (self._split(layer(state)) for layer in (self.query, self.key, self.value))
        scores = torch.matmul(query, key.transpose(2, 3)) * self.head_width**-0.5 + mask
        mixed = torch.matmul(torch.softmax(scores, dim=3), value).transpose(1, 2)
        out: Tensor = self.out(mixed.flatten(2))
        return out

    def _split(self, state: Tensor) -> Tensor:
        users, length, _ = state.shape
        return state.reshape(users, length, self.heads, self.head_width).transpose(1, 2)


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, 0, 0.02)
    return table
