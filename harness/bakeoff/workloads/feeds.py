"""What `feed-sasrec` learns from: histories of two shops, and which visits are trained on, kept apart and held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bakeoff.workloads import movielens, ta_feng
from bakeoff.workloads.histories import Histories
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import MOVIELENS, TA_FENG, Carried, fetch

SPLIT_DAY = 105
"""Ta-Feng: visits from this day on are held out."""
FEWEST_PURCHASES = 15
"""Ta-Feng: items bought less often before the split are left out of the catalogue."""
FEWEST_VISITS = 3
"""Ta-Feng: visits that a user in the held-out data has before the split."""
EVERY = 8
"""Ta-Feng: of every eighth user the last visit before the split is kept apart from training."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Histories over items 1 to `items`. `trained` is a bool for each visit, `apart` and `held_out` are visits."""

    histories: Histories
    items: int
    trained: Array
    apart: Array
    held_out: Array

    def popular(self, count: int, rng: np.random.Generator) -> Array:
        """Items drawn by how often they stand in what is trained on."""
        events = np.flatnonzero(self.trained[self.histories.visit])
        items: Array = self.histories.item[rng.choice(events, count)]
        return items


@dataclass(frozen=True, slots=True)
class Source:
    """Where a feed comes from, and how SASRec is trained on it: tuned on the visits kept apart."""

    read: Callable[[Path], Feed]
    carried: Carried
    items: int
    length: int
    stride: int
    """Events between two windows of a user."""
    epochs: int
    batch: int
    peak_rate: float
    dropout: float


@cache
def films(folder: Path) -> Feed:
    """MovieLens-100k, each rating a visit: the last of each user is held out, the one before it is kept apart."""
    user, film, _ = movielens.read(fetch(MOVIELENS, folder))
    histories = Histories(user, np.arange(len(user)), film + 1)
    left = histories.left
    return Feed(histories, movielens.FILMS, left >= 2, np.flatnonzero(left == 1), np.flatnonzero(left == 0))


@cache
def groceries(folder: Path) -> Feed:
    """Ta-Feng, each day of a customer a visit: the first one after the split is held out."""
    purchases = ta_feng.read(fetch(TA_FENG, folder).read_bytes())
    before = purchases.day < SPLIT_DAY
    kept = np.bincount(purchases.item[before], minlength=len(purchases.subclass_of)) >= FEWEST_PURCHASES
    code = np.cumsum(kept) * kept
    known = kept[purchases.item]
    histories = Histories(purchases.user[known], purchases.day[known], code[purchases.item[known]])
    early = histories.moment < SPLIT_DAY
    next_is_late = np.append(~early[1:] | (np.diff(histories.user) != 0), True)
    apart = early & next_is_late & (histories.user % EVERY == 0) & (histories.ordinal > 0)
    after_early = np.append(False, early[:-1])
    held_out = ~early & after_early & (histories.ordinal >= FEWEST_VISITS)
    return Feed(histories, int(kept.sum()), early & ~apart, np.flatnonzero(apart), np.flatnonzero(held_out))


SOURCES = {
    "ta-feng": Source(groceries, TA_FENG, 8135, 32, 32, 5, 128, 3e-3, 0.2),
    "movielens-100k": Source(films, MOVIELENS, movielens.FILMS, 50, 25, 16, 64, 3e-3, 0.3),
}
