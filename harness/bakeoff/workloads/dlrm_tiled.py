"""A DLRM that computes what belongs to the user once per request: the user-side tile."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.factored import FactoredLinear
from bakeoff.workloads.dlrm import Dlrm


def tiled(module: nn.Module, user: Sequence[int]) -> nn.Module:
    """The DLRM with the `user`'s tables, by their places, looked up once; raises Unsupported for other models."""
    if not isinstance(module, Dlrm):
        raise Unsupported(f"a user-side tile is made of a DLRM, not of a {type(module).__name__}")
    if not user or len(user) == len(module.tables):
        raise Unsupported("a user-side tile needs a table of the user's and one of the items'")
    return TiledDlrm(module, user).eval()


class TiledDlrm(nn.Module):
    """Answers as the DLRM does where all rows of a request have the first row's user.

    The user's vectors and their dot products come from the first row alone. The dense numbers stay with the items: few
    are the user's, and their layer is the smallest.
    """

    item_pairs: Tensor
    user_pairs: Tensor

    def __init__(self, module: Dlrm, user: Sequence[int]) -> None:
        """`user` are the places of the user's tables; the layers are shared with `module`."""
        super().__init__()
        self.tables, self.bottom = module.tables, module.bottom
        self.user, self.item = list(user), [i for i in range(len(module.tables)) if i not in user]
        width = int(module.tables[0].embedding_dim)  # type: ignore[arg-type]
        columns = width + _columns(len(module.tables) + 1)
        items, users = torch.tensor([0, *(1 + i for i in self.item)]), 1 + torch.tensor(self.user)
        self.register_buffer("item_pairs", _pairs(len(items)))
        self.register_buffer("user_pairs", _pairs(len(users)))
        within_items = columns[items][:, items].flatten()[self.item_pairs]
        between = columns[items][:, users].flatten()
        within_user = columns[users][:, users].flatten()[self.user_pairs]
        of_items = torch.cat([torch.arange(width), within_items, between])
        first, *top = module.top
        if isinstance(first, FactoredLinear):
            top = [first.outer, *top]
            first = first.inner
        self.top = nn.Sequential(*top)
        self.entry: nn.Module = _Joined(first, of_items, within_user)
        if isinstance(first, nn.Linear):
            self.entry = _SplitLinear(first, of_items, within_user)

    def logits(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """Training would ask for these, in batches that mix users."""
        raise Unsupported("a user-side tile cannot be trained: make it the last technique")

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """The probability."""
        bottom = self.bottom(dense)
        items = torch.stack([bottom, *(self.tables[i](sparse[:, i]) for i in self.item)], dim=1)
        user = torch.stack([self.tables[i](sparse[:1, i]) for i in self.user], dim=1)
        within_items = torch.bmm(items, items.transpose(1, 2)).flatten(1).index_select(1, self.item_pairs)
        within_user = torch.bmm(user, user.transpose(1, 2)).flatten(1).index_select(1, self.user_pairs)
        between = torch.matmul(items, user.squeeze(0).T).flatten(1)
        hidden = self.entry(torch.cat([bottom, within_items, between], dim=1), within_user)
        return torch.sigmoid(self.top(hidden).squeeze(1))


class _SplitLinear(nn.Module):
    """A linear layer in two: one for the items' columns, one for the user's."""

    def __init__(self, layer: nn.Linear, of_items: Tensor, of_user: Tensor) -> None:
        super().__init__()
        self.items = nn.Linear(len(of_items), layer.out_features, bias=False)
        self.user = nn.Linear(len(of_user), layer.out_features, bias=layer.bias is not None)
        self.items.weight = nn.Parameter(layer.weight.detach()[:, of_items])
        self.user.weight = nn.Parameter(layer.weight.detach()[:, of_user])
        self.user.bias = layer.bias

    def forward(self, items: Tensor, user: Tensor) -> Tensor:
        """[rows, columns], [1, columns] -> [rows, outputs]."""
        answer: Tensor = self.items(items) + self.user(user)
        return answer


class _Joined(nn.Module):
    """A layer that cannot be split, given the columns in its own order."""

    order: Tensor

    def __init__(self, layer: nn.Module, of_items: Tensor, of_user: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("order", torch.cat([of_items, of_user]).argsort())

    def forward(self, items: Tensor, user: Tensor) -> Tensor:
        """[rows, columns], [1, columns] -> [rows, outputs]."""
        both = torch.cat([items, user.expand(items.shape[0], -1)], dim=1)
        answer: Tensor = self.layer(both.index_select(1, self.order))
        return answer


def _pairs(vectors: int) -> Tensor:
    """Where the products of different vectors are in a flat table of all products."""
    first, second = torch.triu_indices(vectors, vectors, 1)
    places: Tensor = first * vectors + second
    return places


def _columns(vectors: int) -> Tensor:
    """[vectors, vectors]: which of the pairs each two vectors are, in the DLRM's order."""
    columns = torch.zeros(vectors, vectors, dtype=torch.int64)
    first, second = torch.triu_indices(vectors, vectors, 1)
    columns[first, second] = columns[second, first] = torch.arange(len(first))
    return columns
