"""`ctr-dlrm`: a DLRM that predicts which of the candidate items a grocer's customer buys, trained on Ta-Feng."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads import ctr_preparation, dlrm_tiled, ta_feng
from bakeoff.workloads.dlrm import Dlrm
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import TA_FENG, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

FIRST_DAY, SPLIT_DAY, LAST_DAY = 20, 105, 120
"""The days before the first are known as the past only; training ends before the split, the holdout starts there."""
HELD_OUT_PURCHASES = 40_000
SHARDS, SHARD_PURCHASES = 4, 100_000
BATCH_ROWS = 2048
PEAK_RATE = {"tables": 1e-3, "layers": 2e-3}


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
    metrics = ("auc", "logloss")

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """One pass over the purchases of 85 days: a second one overfits (AUC .712 -> .686)."""
        torch.manual_seed(seed)
        torch.set_flush_denormal(True)
        started = time.monotonic()
        shop = _shop(cache)
        module = Dlrm(ta_feng.DENSE, shop[0].sizes)
        rows = _fit(module, _shards(shop, seed), progress)
        return Trained(
            module.eval(),
            {
                "training_s": round(time.monotonic() - started, 1),
                "training_rows": rows,
                "parameters": sum(weights.numel() for weights in module.parameters()),
            },
        )

    def tiled(self, module: torch.nn.Module) -> torch.nn.Module:
        """The same model with the shopper's tables looked up once per request."""
        return dlrm_tiled.tiled(module, ta_feng.SPARSE, ta_feng.OF_USER)

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
        """200,000 rows of the last 15 days: 40,000 purchases, four popular items beside each."""
        _, features, visits = _shop(cache)
        rng = np.random.default_rng([seed, 2])
        purchases = np.sort(rng.choice(visits.days(SPLIT_DAY, LAST_DAY), HELD_OUT_PURCHASES, replace=False))
        user, item, day, label = visits.labelled(purchases, rng)
        return HeldOut(_in_parts(features, user, item, day), chunks(len(user), chunk), labels=label)


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


def _shards(
    shop: tuple[ta_feng.Purchases, ta_feng.Features, ta_feng.Visits], seed: int
) -> Iterator[tuple[Array, Array, Array]]:
    """Shuffled training rows (dense, sparse, label), SHARDS times."""
    _, features, visits = shop
    rng = np.random.default_rng([seed, 0])
    purchases = rng.permutation(visits.days(FIRST_DAY, SPLIT_DAY))
    for part in np.split(purchases[: SHARDS * SHARD_PURCHASES], SHARDS):
        user, item, day, label = visits.labelled(part, rng)
        arrays = _in_parts(features, user, item, day)
        order = rng.permutation(len(label))
        yield arrays["dense"][order], arrays["sparse"][order], label[order]


def _fit(module: Dlrm, shards: Iterator[tuple[Array, Array, Array]], progress: Progress) -> int:
    """Adam with a one-cycle rate, large tables and layers apart; returns the rows seen."""
    tables = [weights for name, weights in module.named_parameters() if name.startswith("tables")]
    layers = [weights for name, weights in module.named_parameters() if not name.startswith("tables")]
    adam = torch.optim.Adam([{"params": tables}, {"params": layers}])
    per_shard = SHARD_PURCHASES * (1 + ta_feng.Visits.NEGATIVES) // BATCH_ROWS
    rate = torch.optim.lr_scheduler.OneCycleLR(
        adam, list(PEAK_RATE.values()), total_steps=SHARDS * per_shard, pct_start=0.1
    )
    loss_of = torch.nn.BCEWithLogitsLoss()
    module.train()
    for shard, arrays in enumerate(shards):
        progress(f"training the DLRM: {100 * shard // SHARDS} %")
        dense, sparse, label = (torch.from_numpy(array) for array in arrays)
        for step in range(per_shard):
            batch = slice(step * BATCH_ROWS, (step + 1) * BATCH_ROWS)
            adam.zero_grad()
            loss_of(module.logits(dense[batch], sparse[batch]), label[batch]).backward()
            adam.step()
            rate.step()
    return SHARDS * per_shard * BATCH_ROWS
