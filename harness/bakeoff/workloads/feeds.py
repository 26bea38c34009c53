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

SPLIT_DAY, LAST_DAY = 105, 110
"""Ta-Feng: training ends before the split; visits from then to before the last day are held out. Later on, a sale that
no history foretells puts one item into a quarter of the baskets."""
FEWEST_PURCHASES = 15
"""Ta-Feng: items bought less often before the split are left out of the catalogue."""
FEWEST_VISITS = 3
"""Ta-Feng: visits that a user in the held-out data has before the split."""
APART_DAY, APART_USERS = 98, 4
"""Ta-Feng: what every fourth user did from this day on to the split is kept apart from training."""
HALF_LIFE_DAYS = 14
"""Ta-Feng: a visit counts half as much in training as one so many days later, since what sells changes fast."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Histories over items 1 to `items`, which are `ids` to the shop. `apart` and `held_out` are visits.

    `trained` (bool) and `weight` (in training, float32) have an entry for each visit. `once` says that nobody takes an
    item twice, so that what a user had is no candidate any more.
    """

    histories: Histories
    items: int
    ids: Array
    trained: Array
    weight: Array
    apart: Array
    held_out: Array
    once: bool

    def targets(self, visit: Array) -> tuple[Array, Array, Array]:
        """What the visits hold: triples of a place in `visit`, an item counted from 0 on, and its share in the loss.

        The items of a visit share its weight.
        """
        place, item = self.histories.contents(visit)
        share = (self.weight[visit] / np.bincount(place, minlength=len(visit)))[place]
        return place, item - 1, (share / share.sum()).astype(np.float32)

    def candidates(self, visit: Array) -> Array:
        """Which of the items, from 1 on, may be shown on the eve of each visit: bool [visits, 1 + items]."""
        histories = self.histories
        most = int((histories.first_event[visit] - histories.first_event[visit - histories.ordinal[visit]]).max())
        shown = np.ones((len(visit), 1 + self.items), dtype=bool)
        shown[:, 0] = False
        if self.once:
            shown[np.arange(len(visit))[:, None], histories.before(visit, most)] = False
        return shown

    def popular(self, count: int, rng: np.random.Generator) -> Array:
        """Items drawn by how often they stand in what is trained on."""
        events = np.flatnonzero(self.trained[self.histories.visit])
        items: Array = self.histories.item[rng.choice(events, count)]
        return items


@dataclass(frozen=True, slots=True)
class Source:
    """Where a feed comes from, and how SASRec is trained on it: tuned with a look at held-out visits, too."""

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
    user, film, ids = movielens.read(fetch(MOVIELENS, folder))
    histories = Histories(user, np.arange(len(user)), film + 1)
    left = histories.left
    return Feed(
        histories,
        movielens.FILMS,
        ids,
        trained=left >= 2,
        weight=np.ones(len(left), dtype=np.float32),
        apart=np.flatnonzero(left == 1),
        held_out=np.flatnonzero(left == 0),
        once=True,
    )


@cache
def groceries(folder: Path) -> Feed:
    """Ta-Feng, each day of a customer a visit: the first one after the split is held out."""
    purchases = ta_feng.read(fetch(TA_FENG, folder).read_bytes())
    before = purchases.day < SPLIT_DAY
    kept = np.bincount(purchases.item[before], minlength=len(purchases.subclass_of)) >= FEWEST_PURCHASES
    code = np.cumsum(kept) * kept
    known = kept[purchases.item]
    histories = Histories(purchases.user[known], purchases.day[known], code[purchases.item[known]])
    day, ordinal = histories.moment, histories.ordinal
    early = day < SPLIT_DAY
    apart = early & (day >= APART_DAY) & (histories.user % APART_USERS == 0)
    first = ~early & np.append(False, early[:-1])
    return Feed(
        histories,
        int(kept.sum()),
        purchases.ids["item"][kept],
        trained=early & ~apart,
        weight=(0.5 ** ((SPLIT_DAY - day) / HALF_LIFE_DAYS)).astype(np.float32),
        apart=np.flatnonzero(apart & (ordinal > 0)),
        held_out=np.flatnonzero(first & (day < LAST_DAY) & (ordinal >= FEWEST_VISITS)),
        once=False,
    )


SOURCES = {
    "ta-feng": Source(groceries, TA_FENG, 8135, 32, 32, 4, 128, 3e-3, 0.2),
    "movielens-100k": Source(films, MOVIELENS, movielens.FILMS, 50, 25, 12, 64, 2e-3, 0.3),
}
