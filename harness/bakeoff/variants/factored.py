"""Layers in two thin factors, from the singular value decomposition of their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.replacing import replaced, table_of

UNSEEN_SHARE = 0.01
"""How much directions count that no example took, against the mean of those that were."""
Layer = TypeVar("Layer", nn.Linear, nn.Embedding)


class FactoredLinear(nn.Module):
    """A linear layer as two with `rank` numbers between them."""

    def __init__(self, inner: Tensor, outer: Tensor, bias: Tensor | None = None) -> None:
        """`inner` [rank, inputs] comes first, then `outer` [outputs, rank] and the bias."""
        super().__init__()
        self.in_features, self.out_features = inner.shape[1], outer.shape[0]
        self.inner, self.outer = _linear(inner), _linear(outer, bias)

    def forward(self, rows: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        answer: Tensor = self.outer(self.inner(rows))
        return answer


class FactoredEmbedding(nn.Module):
    """An embedding as a narrow table and a projection to the full width."""

    def __init__(self, narrow: Tensor, projection: Tensor) -> None:
        """`narrow` [rows, rank], `projection` [width, rank]."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = narrow.shape[0], projection.shape[0]
        self.table = table_of(narrow)
        self.projection = _linear(projection)

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., width]."""
        answer: Tensor = self.projection(self.table(ids))
        return answer


class Factorisation:
    """The singular value decomposition of a weight matrix [rows, columns], to be cut off at a rank.

    What is cut off changes the weights least; given the second `moment` of the layer's inputs [columns, columns], it
    changes the layer's outputs least (Chen et al., DRONE: Data-aware Low-rank Compression for Large NLP Models, 2021).
    """

    def __init__(self, weight: Tensor, moment: Tensor | None = None) -> None:
        self._kind = weight.dtype
        weight = weight.detach().double()
        if moment is None or not moment.any():
            left, self.singular, right = torch.linalg.svd(weight, full_matrices=False)
        else:
            ridge = UNSEEN_SHARE * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
            scale = torch.linalg.cholesky(moment + ridge)
            left, self.singular, right = torch.linalg.svd(weight @ scale, full_matrices=False)
            right = torch.linalg.solve_triangular(scale, right, upper=False, left=False)
        root = self.singular.sqrt()
        self._left, self._right = left * root, root[:, None] * right

    def rank(self, wanted: float) -> int:
        """`wanted` itself from 1 on; below 1 the smallest rank that keeps this share of the squared singular values."""
        if wanted >= 1:
            return int(wanted)
        energy = self.singular.square().cumsum(0)
        return min(int((energy < wanted * energy[-1]).sum()) + 1, len(energy))

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """[rows, rank] and [rank, columns]; no product of that rank is nearer (Eckart and Young, 1936)."""
        return self._left[:, :rank].to(self._kind).contiguous(), self._right[:rank].to(self._kind).contiguous()


def paying_rank(rows: int, columns: int) -> int:
    """The largest rank at which two factors hold fewer numbers than the matrix, 0 where none does."""
    return (rows * columns - 1) // (rows + columns)


def factor(
    module: nn.Module,
    kind: type[Layer],
    rank: float,
    build: Callable[[Tensor, Tensor, Layer], nn.Module],
    moments: Mapping[nn.Module, Tensor] | None = None,
) -> str:
    """Replace each layer of `kind` by what `build` makes of its two factors, where they are the smaller; the ranks.

    `moments` of the inputs, by layer, weigh the errors. Raises Unsupported where no layer gains.
    """
    shapes: list[tuple[int, int]] = []
    ranks: list[str] = []

    def make(path: str, layer: Layer) -> nn.Module | None:
        rows, columns = layer.weight.shape
        shapes.append((rows, columns))
        if rank > paying_rank(rows, columns):
            return None
        found = Factorisation(layer.weight, (moments or {}).get(layer))
        kept = found.rank(rank)
        if kept > paying_rank(rows, columns):
            return None
        ranks.append(f"{path} {kept} of {min(rows, columns)}")
        return build(*found.factors(kept), layer)

    if not replaced(module, kind, make):
        raise Unsupported(_refusal(rank, shapes, "linear layer" if kind is nn.Linear else "embedding table"))
    return ", ".join(ranks)


def _refusal(rank: float, shapes: list[tuple[int, int]], what: str) -> str:
    if not shapes:
        return f"nothing to factor: the model has no {what}"
    largest = max(min(shape) for shape in shapes)
    if rank > largest:
        return f"rank {rank:g} is above every {what} of the model; the largest has rank {largest}"
    asked = f"rank {rank:g}" if rank >= 1 else f"keeping {rank:g} of the energy"
    pays = max(paying_rank(*shape) for shape in shapes)
    return f"{asked} saves nothing in any {what} of the model; it pays up to rank {pays}"


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer
