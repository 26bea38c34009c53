"""Embedding tables as tensor trains."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bakeoff.variants.replacing import table_of


class TensorTrainEmbedding(nn.Module):
    """An embedding whose table is a train of three small tensors; a lookup is two small matrix products.

    An id is written as three digits, each of which looks up a matrix. Oseledets, Tensor-Train Decomposition, 2011;
    Yin et al., TT-Rec: Tensor Train Compression for Deep Learning Recommendation Models, 2021.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        """`weight` [ids, width] becomes a train whose bonds are `rank` wide, or as wide as they can be."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.shape
        self.radices, self.widths = _three_factors(self.num_embeddings), _exact_factors(self.embedding_dim)
        cores = _decomposed(weight.detach(), self.radices, self.widths, rank)
        self.bonds = cores[1].shape[1], cores[2].shape[1]
        self.cores = nn.ModuleList(table_of(core.flatten(1).contiguous()) for core in cores)

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., width]."""
        _, second, third = self.radices
        (wide_1, wide_2, wide_3), (bond_1, bond_2) = self.widths, self.bonds
        first = self.cores[0](torch.div(ids, second * third, rounding_mode="trunc"))
        middle = self.cores[1](torch.div(ids, third, rounding_mode="trunc") % second)
        last = self.cores[2](ids % third)
        start = torch.bmm(first.reshape(-1, wide_1, bond_1), middle.reshape(-1, bond_1, wide_2 * bond_2))
        whole = torch.bmm(start.reshape(-1, wide_1 * wide_2, bond_2), last.reshape(-1, bond_2, wide_3))
        return whole.reshape(*ids.shape, self.embedding_dim)


def numbers(ids: int, width: int, rank: int) -> int:
    """How many numbers the train for a table of this shape holds."""
    radices, widths = _three_factors(ids), _exact_factors(width)
    bond_1 = min(rank, radices[0] * widths[0])
    bond_2 = min(rank, bond_1 * radices[1] * widths[1], radices[2] * widths[2])
    ends = (1, bond_1, bond_2, 1)
    return sum(ends[i] * radices[i] * widths[i] * ends[i + 1] for i in range(3))


def _decomposed(weight: Tensor, radices: tuple[int, ...], widths: tuple[int, ...], rank: int) -> list[Tensor]:
    """The three cores [radix, bond before, width, bond after] by TT-SVD: one cut-off singular value decomposition after
    the other, along the digits."""
    padded = weight.new_zeros(math.prod(radices), weight.shape[1])
    padded[: len(weight)] = weight
    rest = padded.reshape(*radices, *widths).permute(0, 3, 1, 4, 2, 5)
    cores, bond = [], 1
    for radix, width in zip(radices[:-1], widths[:-1], strict=True):
        left, singular, right = torch.linalg.svd(rest.reshape(bond * radix * width, -1), full_matrices=False)
        kept = min(rank, len(singular))
        cores.append(left[:, :kept].reshape(bond, radix, width, kept).transpose(0, 1))
        rest, bond = singular[:kept, None] * right[:kept], kept
    return [*cores, rest.reshape(bond, radices[-1], widths[-1], 1).transpose(0, 1)]


def _three_factors(number: int) -> tuple[int, int, int]:
    """Three numbers near the cube root whose product is not below `number`."""
    first = math.ceil(number ** (1 / 3))
    second = math.ceil(math.sqrt(number / first))
    return first, second, -(-number // (first * second))


def _exact_factors(number: int) -> tuple[int, int, int]:
    """The three numbers of least sum, so the nearest to the cube root, whose product is `number`."""
    divisors = [each for each in range(1, number + 1) if number % each == 0]
    triples = (
        (first, number // (first * last), last)
        for first in divisors
        for last in divisors
        if number % (first * last) == 0
    )
    return min(triples, key=sum)
