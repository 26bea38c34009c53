"""Embedding tables with fewer rows than ids: hashed ones, and sums of two small ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.replacing import replaced, table_of

SMALLEST_TABLE_ROWS = 1000
"""A table with fewer rows keeps them: it is cheap, and its ids, such as positions, must not be mixed up."""
LARGEST_PRODUCT = 2**31 - 1
"""Engines compute with ids in 32 bits."""
FITTING_STEPS = 20


class HashedEmbedding(nn.Module):
    """An embedding whose ids share the rows of a smaller table by a hash; ids that collide start from their mean.

    The hash is (factor * id mod prime) mod rows: Carter and Wegman, Universal Classes of Hash Functions, 1979.
    """

    def __init__(self, weight: Tensor, rows: int) -> None:
        """`weight` [ids, width] is hashed to `rows` rows."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.shape
        self.prime = _prime_from(self.num_embeddings)
        golden = round(self.prime * (math.sqrt(5) - 1) / 2)
        self.factor = max(1, min(golden, LARGEST_PRODUCT // self.num_embeddings))
        self.rows = rows
        places = self.places(torch.arange(self.num_embeddings))
        self.table = table_of(_means(weight.detach(), places, rows))

    def places(self, ids: Tensor) -> Tensor:
        """The row of each id."""
        return ids * self.factor % self.prime % self.rows

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., width]."""
        answer: Tensor = self.table(self.places(ids))
        return answer


class ComposedEmbedding(nn.Module):
    """An embedding as the sum of two small ones, of the id's remainder and of its quotient.

    They start as the two-way means of the table. Shi et al., Compositional Embeddings Using Complementary Partitions
    for Memory-Efficient Recommendation Systems, 2020.
    """

    def __init__(self, weight: Tensor, rows: int) -> None:
        """`weight` [ids, width] becomes two tables of together at most `rows` rows, or as few as two can have."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.shape
        self.divisor = _divisor(self.num_embeddings, rows)
        remainders, quotients = _two_way(weight.detach(), self.divisor)
        self.remainders = table_of(remainders)
        self.quotients = table_of(quotients)

    def forward(self, ids: Tensor) -> Tensor:
        """[...] -> [..., width]."""
        quotients = torch.div(ids, self.divisor, rounding_mode="trunc")
        answer: Tensor = self.remainders(ids % self.divisor) + self.quotients(quotients)
        return answer


def shrink(module: nn.Module, small: Callable[[Tensor, int], nn.Module], share: float) -> str:
    """Put `small` of its weight and of the `share` of its rows in the place of each table of some size; their paths.

    Raises Unsupported where there is none.
    """

    def make(_: str, table: nn.Embedding) -> nn.Module | None:
        rows = table.num_embeddings
        return small(table.weight, math.ceil(share * rows)) if rows >= SMALLEST_TABLE_ROWS else None

    made = replaced(module, nn.Embedding, make)
    if not made:
        raise Unsupported(f"nothing to shrink: the model has no embedding table of {SMALLEST_TABLE_ROWS} rows")
    return ", ".join(made)


def _means(weight: Tensor, places: Tensor, rows: int) -> Tensor:
    """The mean of the weights at each place, zero where there is none."""
    sums = weight.new_zeros(rows, weight.shape[1]).index_add(0, places, weight)
    return sums / places.bincount(minlength=rows).clamp(min=1)[:, None]


def _divisor(ids: int, rows: int) -> int:
    """The largest divisor whose remainders and quotients are together at most `rows`, or the one with the fewest."""
    fewest = math.isqrt(ids - 1) + 1
    if 2 * fewest >= rows:
        return fewest
    return next(divisor for divisor in range(rows, 0, -1) if divisor + -(-ids // divisor) <= rows or divisor == fewest)


def _two_way(weight: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
    """Tables by remainder and by quotient whose sums are nearest to the weights, by fitting one after the other."""
    ids = torch.arange(len(weight))
    remainder, quotient = ids % divisor, ids // divisor
    by_quotient = weight.new_zeros(int(quotient[-1]) + 1, weight.shape[1])
    by_remainder = _means(weight, remainder, divisor)
    for _ in range(FITTING_STEPS if len(by_quotient) > 1 else 0):
        by_quotient = _means(weight - by_remainder[remainder], quotient, len(by_quotient))
        by_remainder = _means(weight - by_quotient[quotient], remainder, divisor)
    return by_remainder, by_quotient


def _prime_from(number: int) -> int:
    """The smallest prime that is not below `number`."""
    while number < 2 or any(number % divisor == 0 for divisor in range(2, math.isqrt(number) + 1)):
        number += 1
    return number
