"""Two towers for candidate retrieval: a vector of the user, one of each item, and their dot product as the score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TwoTower(nn.Module):
    """(user int64 [users], history int64 [users, past], context int64 [users, contexts]) -> score [users, items].

    `history` holds item numbers; the number after the last item stands for nothing. While it is trained, `catalogue`
    is an ItemTower; what serves has its vectors as the weights of a linear layer (see `fold`).
    Covington et al., Deep Neural Networks for YouTube Recommendations, 2016.
    """

    def __init__(
        self, users: int, contexts: Sequence[int], items: int, subclasses: int, width: int, hidden: int, narrow: int
    ) -> None:
        """`width` is that of the vectors, `narrow` that of what is known of a user beside the history."""
        super().__init__()
        self.nothing = items
        self.user = _table(users, narrow, 0.01)
        self.history = _table(items + 1, width, width**-0.5)
        self.contexts = nn.ModuleList(_table(size, narrow, 0.1) for size in contexts)
        self.mlp = nn.Sequential(
            nn.Linear(width + narrow * (1 + len(contexts)), hidden), nn.ReLU(), nn.Linear(hidden, width)
        )
        self.catalogue: nn.Module = ItemTower(self.history, items, subclasses, width, hidden)

    def forward(self, user: Tensor, history: Tensor, context: Tensor) -> Tensor:
        """Every item's score."""
        known = (history != self.nothing).to(torch.float32).unsqueeze(-1)
        count = known.sum(1).clamp(min=1)
        past = (self.history(history) * known).sum(1) / count.sqrt()
        about = [table(context[:, i]) for i, table in enumerate(self.contexts)]
        vector = past + self.mlp(torch.cat([past, self.user(user), *about], dim=1))
        score: Tensor = self.catalogue(vector)
        return score

    def fold(self) -> None:
        """Replace the item tower by the linear layer that its vectors amount to."""
        if isinstance(self.catalogue, ItemTower):
            self.catalogue = self.catalogue.folded()


class ItemTower(nn.Module):
    """vector [users, width] -> score [users, items]; shares its items' table with the user tower's history.

    Whoever trains it fills in `subclass`, int64 [items].
    """

    subclass: Tensor

    def __init__(self, item: nn.Embedding, items: int, subclasses: int, width: int, hidden: int) -> None:
        super().__init__()
        self.item = item
        self.subclasses = _table(subclasses, width // 2, 0.1)
        self.mlp = nn.Sequential(nn.Linear(width + width // 2, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.register_buffer("subclass", torch.zeros(items, dtype=torch.int64))

    def vectors(self) -> Tensor:
        """One for each item: [items, width]."""
        item: Tensor = self.item(torch.arange(len(self.subclass)))
        more: Tensor = self.mlp(torch.cat([item, self.subclasses(self.subclass)], dim=1))
        return item + more

    def forward(self, vector: Tensor) -> Tensor:
        """The dot products."""
        return vector @ self.vectors().T

    def folded(self) -> nn.Linear:
        """The same as a linear layer."""
        with torch.no_grad():
            vectors = self.vectors()
        layer = nn.Linear(vectors.shape[1], vectors.shape[0], bias=False)
        layer.weight = nn.Parameter(vectors.clone())
        return layer


def _table(size: int, width: int, deviation: float) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, 0, deviation)
    return table
