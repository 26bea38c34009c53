"""`two-tower`: which items of a grocer's catalogue a customer may buy today, from two towers trained on Ta-Feng."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads import ta_feng, tower_preparation
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.towers import ItemTower, TwoTower
from bakeoff.workloads.wheels import TA_FENG, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

FIRST_DAY, SPLIT_DAY = 20, 105
"""The days before the first are known as the past only; training ends before the split, the holdout starts there."""
FEWEST_PURCHASES = 12
"""An item bought less often before the split is not in the catalogue."""
PAST = 20
"""How many of a user's last items are known."""
USERS, CONTEXTS, ITEMS, SUBCLASSES = 32_266, (11, 8, 7), 9418, 2012
"""How many there are in Ta-Feng, and how many items in the catalogue."""
WIDTH, HIDDEN, NARROW = 256, 128, 16
HELD_OUT_USERS, APART = 1500, 1000
EPOCHS, BATCH = 1, 256
"""More gains nothing: half as much again moves the recall from .275 to .274."""
PEAK_RATE, FINE_TUNING_RATE = 2e-3, 2e-4
SOFT = 0.5
"""The weight of a teacher's softmax beside what was really bought."""
TOP = 100


@dataclass(frozen=True, slots=True)
class Visits:
    """One row per user and day, by user and day, and what the user bought then: `items` from `start` to before `end`.

    Users keep their number among all; items are numbered within the catalogue.
    """

    user: Array
    day: Array
    context: Array
    history: Array
    start: Array
    end: Array
    items: Array

    def bought(self, rows: Array) -> tuple[Array, Array]:
        """Pairs of a place in `rows` and an item that was bought in that visit, sorted by place."""
        count = self.end[rows] - self.start[rows]
        place = np.repeat(np.arange(len(rows)), count)
        within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        return place, self.items[np.repeat(self.start[rows], count) + within]

    def inputs(self, rows: Array) -> dict[str, Array]:
        """The model's arguments for these visits, as known on the morning of the day."""
        return {"user": self.user[rows], "history": self.history[rows], "context": self.context[rows]}


def catalogue_of(purchases: ta_feng.Purchases) -> Array:
    """The items bought often enough before the split, in ascending order."""
    counts = np.bincount(purchases.item[purchases.day < SPLIT_DAY], minlength=len(purchases.subclass_of))
    return np.flatnonzero(counts >= FEWEST_PURCHASES)


def visits_of(purchases: ta_feng.Purchases, catalogue: Array) -> Visits:
    """All visits in which something of the catalogue was bought; items outside of it are as if they were not there."""
    code = np.full(len(purchases.subclass_of), -1)
    code[catalogue] = np.arange(len(catalogue))
    known = code[purchases.item] >= 0
    user, day, item = purchases.user[known], purchases.day[known], code[purchases.item[known]]
    order = np.lexsort((item, day, user))
    user, day, item = user[order], day[order], item[order]
    key, start = np.unique(user * ta_feng.DAYS + day, return_index=True)
    who, when = key // ta_feng.DAYS, key % ta_feng.DAYS
    place = start[:, None] - 1 - np.arange(PAST)
    before = place >= np.searchsorted(user, who)[:, None]
    return Visits(
        user=who,
        day=when,
        context=np.stack([purchases.age_of[who], purchases.area_of[who], when % 7], axis=1).astype(np.int64),
        history=np.where(before, item[np.maximum(place, 0)], len(catalogue)).astype(np.int64),
        start=start,
        end=np.append(start[1:], len(item)),
        items=item,
    )


@cache
def _shop(folder: Path) -> tuple[ta_feng.Purchases, Array, Visits]:
    purchases = ta_feng.read(fetch(TA_FENG, folder).read_bytes())
    catalogue = catalogue_of(purchases)
    return purchases, catalogue, visits_of(purchases, catalogue)


class TwoTowers(Workload):
    """A request is a batch of users; the answer is a score for each item of the catalogue."""

    name = "two-tower"
    licence = TA_FENG.licence
    citation = TA_FENG.citation
    inputs = (
        Tensor("user", "int64", (None,)),
        Tensor("history", "int64", (None, PAST)),
        Tensor("context", "int64", (None, 3)),
    )
    outputs = ("score",)
    judged = "score"
    metrics = ("recall@100",)
    preparation = "bakeoff.workloads.tower_preparation:TowerPreparation"
    raw_inputs = (
        Tensor("customer", "int64", (None,)),
        Tensor("last_products", "int64", (None, PAST)),
        Tensor("age_group", "S", (None,)),
        Tensor("area", "S", (None,)),
        Tensor("weekday", "int64", (None,)),
    )
    reference_rows = 512

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """The usual training of the towers at full width."""
        torch.manual_seed(seed)
        started = time.monotonic()
        purchases, catalogue, visits = _shop(cache)
        module = self.student(1)
        self.fit(module, 1, seed, cache, progress)
        sold = {"training": purchases.day < SPLIT_DAY, "held_out": purchases.day >= SPLIT_DAY}
        covered = {part: np.isin(purchases.item[rows], catalogue).mean() for part, rows in sold.items()}
        return Trained(
            module.eval(),
            {
                "training_s": round(time.monotonic() - started, 1),
                "catalogue_items": len(catalogue),
                **{f"{part}_purchases_covered": round(float(share), 4) for part, share in covered.items()},
                f"popularity_recall@{TOP}": round(popularity_recall(visits, asked(visits, seed)), 5),
            },
        )

    def fit(
        self,
        module: nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: nn.Module | None = None,
    ) -> None:
        """Adam with a one-cycle rate; the item tower, where there is still one, is folded at the end.

        What has none left was trained before, and gets a lower rate.
        """
        torch.set_flush_denormal(True)
        purchases, catalogue, visits = _shop(cache)
        towers = [part for part in module.modules() if isinstance(part, ItemTower)]
        for tower in towers:
            tower.subclass = torch.from_numpy(np.append(purchases.subclass_of[catalogue], 0))
        batches = _batches(split(visits)[0], np.random.default_rng([seed, 0]))
        steps = math.ceil(share * EPOCHS * (len(split(visits)[0]) // BATCH))
        adam = torch.optim.Adam(weights for weights in module.parameters() if weights.requires_grad)
        peak = PEAK_RATE if towers else FINE_TUNING_RATE
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, peak, total_steps=steps + 1, pct_start=0.1)
        module.train()
        for step, rows in zip(range(steps), batches, strict=False):
            if step % 20 == 0:
                progress(f"training the two towers: {100 * step // steps} %")
            adam.zero_grad()
            _loss(module, visits, rows, teacher).backward()  # type: ignore[no-untyped-call]
            adam.step()
            cycle.step()
        if isinstance(module, TwoTower):
            module.fold()

    def student(self, size: float) -> nn.Module:
        """Narrower vectors, tables and layers."""
        width, hidden, narrow = (max(round(size * full), 2) for full in (WIDTH, HIDDEN, NARROW))
        return TwoTower(USERS, CONTEXTS, ITEMS, SUBCLASSES, width, hidden, narrow)

    def loss(self, module: nn.Module, seed: int, cache: Path) -> float:
        """The cross-entropy of what was bought in visits kept apart."""
        visits = _shop(cache)[2]
        module.eval()
        with torch.inference_mode():
            return float(_loss(module, visits, split(visits)[1], None))

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """Random visits of the held-out days: each user as known on that morning."""
        visits = _shop(cache)[2]
        rng = np.random.default_rng([seed, 1])
        return visits.inputs(rng.choice(np.flatnonzero(visits.day >= SPLIT_DAY), int(rows.sum())))

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """What the shop knows of each customer, in its own ids; the last products newest first."""
        purchases, catalogue, _ = _shop(cache)
        return tower_preparation.raw_of(self.requests(rows, seed, cache, progress), purchases.ids, catalogue, into)

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """1,500 users at their first visit of the last 15 days, new users among them; relevant is what they buy."""
        visits = _shop(cache)[2]
        rows = asked(visits, seed)
        queries, relevant = visits.bought(rows)
        return HeldOut(
            visits.inputs(rows), chunks(len(rows), chunk), kind="catalogue", queries=queries, relevant=relevant
        )


def split(visits: Visits) -> tuple[Array, Array]:
    """The rows to train on, and those of the same days that are kept apart: the same for every seed."""
    within = np.flatnonzero((visits.day >= FIRST_DAY) & (visits.day < SPLIT_DAY))
    order = np.random.default_rng(0).permutation(within)
    return order[APART:], order[:APART]


def asked(visits: Visits, seed: int) -> Array:
    """The rows of the held-out users' first visits in the held-out days."""
    rows = np.flatnonzero(visits.day >= SPLIT_DAY)
    _, first = np.unique(visits.user[rows], return_index=True)
    return np.sort(np.random.default_rng([seed, 2]).choice(rows[first], HELD_OUT_USERS, replace=False))


def popularity_recall(visits: Visits, rows: Array) -> float:
    """The recall of the items that were bought most before the split, the same for every user."""
    sold = np.repeat(visits.day, visits.end - visits.start) < SPLIT_DAY
    best = np.argsort(-np.bincount(visits.items[sold]))[:TOP]
    place, item = visits.bought(rows)
    return float((np.bincount(place, np.isin(item, best)) / np.bincount(place)).mean())


def _batches(rows: Array, rng: np.random.Generator) -> Iterator[Array]:
    while True:
        yield from np.array_split(rng.permutation(rows), len(rows) // BATCH)


def _loss(module: nn.Module, visits: Visits, rows: Array, teacher: nn.Module | None) -> torch.Tensor:
    """The cross-entropy of each purchase under the softmax over the catalogue, mixed with the teacher's softmax."""
    inputs = [torch.from_numpy(array) for array in visits.inputs(rows).values()]
    log_share = torch.log_softmax(module(*inputs), dim=1)
    place, item = (torch.from_numpy(column) for column in visits.bought(rows))
    wrong = -log_share[place, item].mean()
    if teacher is None:
        return wrong
    with torch.no_grad():
        soft = torch.softmax(teacher(*inputs), dim=1)
    return (1 - SOFT) * wrong - SOFT * (soft * log_share).sum(1).mean()
