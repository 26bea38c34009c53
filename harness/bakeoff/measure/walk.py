"""The order in which a block walks the pool of requests, and which outputs it keeps for verification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bakeoff.measure.block import Int32

LONGEST = 1 << 17
"""Steps after which a walk starts again: far more requests than any cache holds."""
KEPT = 64
"""About how many outputs of a block are kept, spread over the whole of it."""
SHARE = 0.1
"""The largest share of a block's requests whose outputs are kept, but for very short blocks."""
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """Step s makes one call of the pool requests `order[s % steps]` (a row of `join` pool indices).

    `sampled` (uint8, one for each step) marks steps whose requests have reference outputs and whose outputs are kept.
    """

    order: Int32
    sampled: np.ndarray[tuple[int], np.dtype[np.uint8]]

    @property
    def steps(self) -> int:
        """How many steps until it starts again."""
        return len(self.order)

    @property
    def join(self) -> int:
        """Requests in one call."""
        return int(self.order.shape[1])


def walk(count: int, references: int, steps: int, seed: int, join: int = 1) -> Walk:
    """A permuted walk over a pool of `count` requests for a block of about `steps` calls.

    No request comes back before all others had their turn, so that no cache keeps it. The first `references` requests
    of the pool have reference outputs: the sampled steps, at random places, draw from them in a permuted order too.
    """
    rng = np.random.default_rng(seed)
    length = max(1, min(steps, LONGEST))
    order = _cycled(rng, count, length * join).reshape(length, join)
    sampled = np.zeros(length, np.uint8)
    if references:
        sampled = _marked(rng, length, steps)
        places = np.flatnonzero(sampled)
        order[places] = _cycled(rng, references, len(places) * join).reshape(len(places), join)
    return Walk(order, sampled)


def walk_by_items(pool_items: Int32, references: int, wanted: Int32, seed: int) -> Walk:
    """A walk of which step s makes a call of about `wanted[s]` items: a pool request of the size nearest to that.

    No request comes back before all others of its size had their turn. Steps are sampled as in `walk`, but for those
    of a size that has no reference.
    """
    rng = np.random.default_rng(seed)
    sizes = np.unique(pool_items)
    nearest = sizes[np.searchsorted((sizes[1:] + sizes[:-1]) / 2, wanted)]
    order = np.empty(len(wanted), np.int32)
    sampled = _marked(rng, len(wanted), len(wanted)) if references else np.zeros(len(wanted), np.uint8)
    for size in np.unique(nearest):
        steps, members = np.flatnonzero(nearest == size), np.flatnonzero(pool_items == size)
        order[steps] = members[_cycled(rng, len(members), len(steps))]
        known, places = members[members < references], steps[sampled[steps] == 1]
        if len(known):
            order[places] = known[_cycled(rng, len(known), len(places))]
        else:
            sampled[places] = 0
    return Walk(order.reshape(-1, 1), sampled)


def _marked(rng: np.random.Generator, length: int, steps: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Which of a walk's steps are sampled, in a block of `steps`."""
    share = min(1.0, max(min(SHARE, KEPT / max(steps, 1)), FEWEST / max(steps, 1)))
    sampled = np.zeros(length, np.uint8)
    sampled[rng.choice(length, max(1, round(length * share)), replace=False)] = 1
    return sampled


def _cycled(rng: np.random.Generator, count: int, length: int) -> Int32:
    permuted = rng.permutation(count).astype(np.int32)
    start = int(rng.integers(count))
    return np.resize(np.roll(permuted, -start), length)
