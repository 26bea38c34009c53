"""Two towers for candidate retrieval: a vector of the user, one of each item, and their dot product as the score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LENGTH = 2.0
"""Of an item's own vector at first: long enough for what was bought before to find itself among the other items."""


class TwoTower(nn.Module):
    """(user int64 [users], history int64 [users, past], context int64 [users, contexts]) -> score [users, items].

    `history` holds item numbers; the number after the last item stands for nothing. In training one item tower gives
    the vectors of the history and of the catalogue; what serves has them as a table and as a linear layer (see `fold`).
    Covington et al., Deep Neural Networks for YouTube Recommendations, 2016.
    """

    def __init__(
        self, users: int, contexts: Sequence[int], items: int, subclasses: int, width: int, hidden: int, narrow: int
    ) -> None:
        """`width` is that of the vectors, `narrow` that of what is known of a user beside the history."""
        super().__init__()
        self.nothing = items
        self.user = _table(users, narrow, 0.01)
        tower = ItemTower(items, subclasses, width, hidden)
        self.history: nn.Module = tower
        self.contexts = nn.ModuleList(_table(size, narrow, 0.1) for size in contexts)
        self.mlp = nn.Sequential(
            nn.Linear(width + narrow * (1 + len(contexts)), hidden), nn.ReLU(), nn.Linear(hidden, width)
        )
        self.catalogue: nn.Module = Catalogue(tower)

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
        """Replace the item tower by the vectors that it gives."""
        if isinstance(self.history, ItemTower) and isinstance(self.catalogue, Catalogue):
            with torch.no_grad():
                vectors = self.history(torch.arange(self.nothing + 1))
            self.history = nn.Embedding(*vectors.shape)
            self.history.weight = nn.Parameter(vectors)
            self.catalogue = nn.Linear(vectors.shape[1], self.nothing, bias=False)
            self.catalogue.weight = nn.Parameter(vectors[:-1].clone())


class ItemTower(nn.Module):
    """item int64 [...] -> vector [..., width]. Whoever trains it fills in `subclass`, int64 [items + 1]."""

    subclass: Tensor

    def __init__(self, items: int, subclasses: int, width: int, hidden: int) -> None:
        super().__init__()
        self.item = _table(items + 1, width, LENGTH * width**-0.5)
        self.subclasses = _table(subclasses, width, 0.1)
        self.mlp = nn.Sequential(nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.register_buffer("subclass", torch.zeros(items + 1, dtype=torch.int64))

    def forward(self, item: Tensor) -> Tensor:
        """The item's own vector, its subclass's, and what an MLP makes of both."""
        own, subclass = self.item(item), self.subclasses(self.subclass[item])
        vector: Tensor = own + subclass + self.mlp(torch.cat([own, subclass], dim=-1))
        return vector


class Catalogue(nn.Module):
    """vector [users, width] -> score [users, items], from the item tower's vectors as they are now."""

    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, vector: Tensor) -> Tensor:
        """The dot products with all items."""
        items = torch.arange(len(self.tower.subclass) - 1)
        score: Tensor = vector @ self.tower(items).T
        return score


def _table(size: int, width: int, deviation: float) -> nn.Embedding:
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, 0, deviation)
    return table
