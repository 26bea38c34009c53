"""`ctr-dlrm`: a DLRM that predicts which of the candidate items a grocer's customer buys, trained on Ta-Feng."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads import ctr_preparation, dlrm_tiled, ta_feng
from bakeoff.workloads.dlrm import Dlrm
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import TA_FENG, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload

FIRST_DAY, SPLIT_DAY, LAST_DAY = 20, 105, 120
"""The days before the first are known as the past only; training ends before the split, the holdout starts there."""
HELD_OUT_PURCHASES = 40_000
SHARDS, SHARD_PURCHASES = 4, 100_000
"""The usual training: so many shards of so many purchases, each purchase with its negatives."""
APART_PURCHASES = 4_000
BATCH_ROWS = 2048
STEPS_PER_SHARD = SHARD_PURCHASES * (1 + ta_feng.Visits.NEGATIVES) // BATCH_ROWS
FEWEST_STEPS = 20
"""Below these the one-cycle rate has no steps to rise in."""
TABLES_RATE, LAYERS_RATE = 1e-3, 2e-3
SOFT = 0.9
"""The weight of a teacher's probabilities beside the true labels."""
TABLE_ROWS = (32_266, 23_812, 2_012, 11, 8, 7, 23_813, 2_013)
"""How many values each of ta_feng.SPARSE takes in the pinned file."""


@cache
def _shop(folder: Path) -> tuple[ta_feng.Purchases, ta_feng.Features, ta_feng.Visits]:
    purchases = ta_feng.read(fetch(TA_FENG, folder).read_bytes())
    return purchases, ta_feng.Features(purchases), ta_feng.Visits(purchases)


class CtrDlrm(Workload):
    """One user and N candidate items; the answer is the probability that the user buys each."""

    name = "ctr-dlrm"
    licence = TA_FENG.licence
    citation = TA_FENG.citation
    inputs = (
        Tensor("dense", "float32", (None, ta_feng.DENSE)),
        Tensor("sparse", "int64", (None, len(ta_feng.SPARSE))),
    )
    preparation = "bakeoff.workloads.ctr_preparation:CtrPreparation"
    raw_inputs = ctr_preparation.RAW_INPUTS
    outputs = ("click",)
    judged = "click"
    metrics = ("auc", "logloss", "normalized_entropy")

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """One pass over the purchases of 85 days: a second one overfits (AUC .712 -> .686)."""
        torch.manual_seed(seed)
        started = time.monotonic()
        module = Dlrm(ta_feng.DENSE, TABLE_ROWS)
        self.fit(module, 1, seed, cache, progress)
        return Trained(
            module.eval(),
            {
                "training_s": round(time.monotonic() - started, 1),
                "training_rows": SHARDS * STEPS_PER_SHARD * BATCH_ROWS,
            },
        )

    def fit(
        self,
        module: torch.nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: torch.nn.Module | None = None,
    ) -> None:
        """Adam with a one-cycle rate, tables and layers apart.

        A shorter training than the usual one is fine-tuning: it starts with the purchases that the usual one leaves,
        since a second pass over the same overfits.
        """
        torch.set_flush_denormal(True)
        steps = max(round(share * SHARDS * STEPS_PER_SHARD), FEWEST_STEPS)
        adam, rate = _optimiser(module, steps)
        logits = cast(Dlrm, module).logits
        batches = _batches(_shop(cache), seed, SHARDS * SHARD_PURCHASES if share < 1 else 0)
        module.train()
        for step, (dense, sparse, label) in zip(range(steps), batches, strict=False):
            if step % STEPS_PER_SHARD == 0:
                progress(f"training the DLRM: {100 * step // steps} %")
            if teacher is not None:
                with torch.no_grad():
                    label = (1 - SOFT) * label + SOFT * teacher(dense, sparse)
            adam.zero_grad()
            loss = binary_cross_entropy_with_logits(logits(dense, sparse), label)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            rate.step()

    def student(self, size: float) -> torch.nn.Module:
        """Narrower tables and layers."""
        return Dlrm(ta_feng.DENSE, TABLE_ROWS, share=size)

    def loss(self, module: torch.nn.Module, seed: int, cache: Path) -> float:
        """The logloss on 20,000 rows of the training's days."""
        _, features, visits = _shop(cache)
        rng = np.random.default_rng([seed, 0])
        user, item, day, label = visits.labelled(_shuffled(visits, rng)[-APART_PURCHASES:], rng)
        rows = {name: torch.from_numpy(array) for name, array in features(user, item, day).items()}
        with torch.no_grad():
            logits = cast(Dlrm, module.eval()).logits(rows["dense"], rows["sparse"])
        return float(binary_cross_entropy_with_logits(logits, torch.from_numpy(label)))

    def tiled(self, module: torch.nn.Module) -> torch.nn.Module:
        """The same model with the shopper's tables looked up once per request."""
        return dlrm_tiled.tiled(module, [ta_feng.SPARSE.index(name) for name in ta_feng.OF_USER])

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """A user who came in the held-out days, and candidates by their popularity in the days before."""
        shop = _shop(cache)
        return _in_parts(shop[1], *_drawn(shop, rows, seed))

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """The shop's own ids of the customer and the products, and the counts that its feature store holds of them."""
        shop = _shop(cache)
        ctr_preparation.write_keys(shop[0].ids, into)
        user, item, day = _drawn(shop, rows, seed)
        known = shop[1].known(user, item, day)
        return ctr_preparation.raw_of(known.codes, known.counts, known.price, shop[0].ids, rows)

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """200,000 rows of the last 15 days: 40,000 purchases, four popular items beside each; a request is a visit."""
        _, features, visits = _shop(cache)
        rng = np.random.default_rng([seed, 2])
        purchases = np.sort(rng.choice(visits.days(SPLIT_DAY, LAST_DAY), HELD_OUT_PURCHASES, replace=False))
        columns = visits.labelled(purchases, rng)
        order = np.lexsort((columns[2], columns[0]))
        user, item, day, label = (column[order] for column in columns)
        visit, rows = np.unique(user * ta_feng.DAYS + day, return_counts=True)
        groups = np.repeat(np.arange(len(visit)), rows)
        return HeldOut(_in_parts(features, user, item, day), rows, labels=label, groups=groups)


def _drawn(
    shop: tuple[ta_feng.Purchases, ta_feng.Features, ta_feng.Visits], rows: Array, seed: int
) -> tuple[Array, Array, Array]:
    """The user, the item and the day of each row of the requests."""
    purchases, _, visits = shop
    rng = np.random.default_rng([seed, 1])
    visit = rng.choice(visits.days(SPLIT_DAY, LAST_DAY), len(rows))
    user, day = np.repeat(purchases.user[visit], rows), np.repeat(purchases.day[visit], rows)
    return user, visits.popular(day, rng), day


def _in_parts(
    features: ta_feng.Features, user: Array, item: Array, day: Array, rows: int = 200_000
) -> dict[str, Array]:
    """The features of many rows, a part at a time to bound the memory."""
    parts = [features(user[i : i + rows], item[i : i + rows], day[i : i + rows]) for i in range(0, len(user), rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shuffled(visits: ta_feng.Visits, rng: np.random.Generator) -> Array:
    """The purchases of the training's days; the last APART_PURCHASES are never trained on."""
    return rng.permutation(visits.days(FIRST_DAY, SPLIT_DAY))


def _batches(
    shop: tuple[ta_feng.Purchases, ta_feng.Features, ta_feng.Visits], seed: int, first: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Shuffled training rows (dense, sparse, label) without end, a shard at a time, from the first-th purchase on."""
    _, features, visits = shop
    rng = np.random.default_rng([seed, 0])
    purchases = _shuffled(visits, rng)[:-APART_PURCHASES]
    for start in count(first, SHARD_PURCHASES):
        part = purchases.take(np.arange(start, start + SHARD_PURCHASES), mode="wrap")
        user, item, day, label = visits.labelled(part, rng)
        arrays = _in_parts(features, user, item, day)
        order = rng.permutation(len(label))
        shard = [torch.from_numpy(column[order]) for column in (arrays["dense"], arrays["sparse"], label)]
        for row in range(0, STEPS_PER_SHARD * BATCH_ROWS, BATCH_ROWS):
            dense, sparse, labels = (column[row : row + BATCH_ROWS] for column in shard)
            yield dense, sparse, labels


def _optimiser(module: torch.nn.Module, steps: int) -> tuple[torch.optim.Adam, torch.optim.lr_scheduler.OneCycleLR]:
    embeddings = [each for each in module.modules() if isinstance(getattr(each, "num_embeddings", None), int)]
    tables = {id(weights): weights for each in embeddings for weights in each.parameters()}
    layers = [weights for weights in module.parameters() if id(weights) not in tables]
    groups = [(list(tables.values()), TABLES_RATE), (layers, LAYERS_RATE)]
    adam = torch.optim.Adam([{"params": weights} for weights, _ in groups])
    peaks = [peak for _, peak in groups]
    return adam, torch.optim.lr_scheduler.OneCycleLR(adam, peaks, total_steps=steps, pct_start=0.1)
