"""`feed-sasrec`: SASRec ranks the candidates for a user's feed by what the user did so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bakeoff.backends import Arrays, Tensor
from bakeoff.errors import UserError
from bakeoff.workloads import feed_preparation
from bakeoff.workloads.feeds import SOURCES, Feed
from bakeoff.workloads.histories import NOTHING
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.sasrec import SasRec
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload

WIDTH, BLOCKS, HEADS = 64, 2, 2
SOFT = 0.5
"""The weight of a teacher's ranking beside what was really bought."""
FINE_TUNING = 0.3
"""The share of the peak rate that fine-tuning takes, which is any training shorter than the usual one."""
FEWEST_STEPS = 20
"""Below these the one-cycle rate has no steps to rise in."""
HELD_OUT_USERS = 1_000


class FeedSasrec(Workload):
    """One user's history and N candidates; the answer is a score for each.

    `data` is "ta-feng" (grocery baskets; the user's next visit is foretold) or "movielens-100k" (the next film).
    """

    name = "feed-sasrec"
    outputs = ("score",)
    judged = "score"
    metrics = ("ndcg@10", "recall@50")
    preparation = "bakeoff.workloads.feed_preparation:FeedPreparation"

    def __init__(self, data: str = "ta-feng") -> None:
        if data not in SOURCES:
            raise UserError(f"feed-sasrec: data must be {' or '.join(SOURCES)}, not {data}")
        self._source = SOURCES[data]
        self.licence = self._source.carried.licence
        self.citation = self._source.carried.citation
        self.inputs = (
            Tensor("history", "int64", (1, self._source.length), per="request"),
            Tensor("candidates", "int64", (None,)),
        )
        self.raw_inputs = self.inputs

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """The usual training of the whole model."""
        torch.manual_seed(seed)
        started = time.monotonic()
        module = self.student(1)
        self.fit(module, 1, seed, cache, progress)
        return Trained(module.eval(), {"training_s": round(time.monotonic() - started, 1)})

    def fit(
        self,
        module: torch.nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: torch.nn.Module | None = None,
    ) -> None:
        """Softmax over the whole catalogue for what the user's next visit holds; Adam with a one-cycle rate."""
        torch.manual_seed(seed)
        torch.set_flush_denormal(True)
        source, feed = self._source, self._source.read(cache)
        windows = feed.histories.windows(feed.trained, source.length, source.stride)
        steps = max(round(share * source.epochs * -(-len(windows) // source.batch)), FEWEST_STEPS)
        adam = torch.optim.Adam([weights for weights in module.parameters() if weights.requires_grad])
        peak = source.peak_rate * (FINE_TUNING if share < 1 else 1)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, peak, total_steps=steps, pct_start=0.1)
        module.train()
        batches = _batches(feed, windows, source.batch, np.random.default_rng([seed, 0]))
        for step, (history, ends, rows, items, shares) in zip(range(steps), batches, strict=False):
            if step % 50 == 0:
                progress(f"training SASRec: {100 * step // steps} %")
            ranking = _ranking(module, history, ends)
            loss = -(shares * ranking[rows, items]).sum()
            if teacher is not None:
                with torch.no_grad():
                    wanted = _ranking(teacher, history, ends).exp()
                loss = (1 - SOFT) * loss - SOFT * (wanted * ranking).sum(1).mean()
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            rate.step()

    def student(self, size: float) -> torch.nn.Module:
        """Narrower, and with fewer blocks."""
        source = self._source
        width = HEADS * max(round(size * WIDTH / HEADS), 1)
        return SasRec(source.items, source.length, width, max(round(size * BLOCKS), 1), HEADS, source.dropout)

    def loss(self, module: torch.nn.Module, seed: int, cache: Path) -> float:
        """The softmax's loss on the visits kept apart."""
        feed = self._source.read(cache)
        history = torch.from_numpy(feed.histories.before(feed.apart, self._source.length))
        ends = torch.zeros_like(history, dtype=torch.bool)
        ends[:, -1] = True
        rows, items, shares = (torch.from_numpy(array) for array in feed.targets(feed.apart))
        with torch.no_grad():
            ranking = _ranking(module.eval(), history, ends)
        return float(-(shares * ranking[rows, items]).sum())

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """A user on the eve of a held-out visit, and candidates by their popularity before."""
        feed = self._source.read(cache)
        rng = np.random.default_rng([seed, 1])
        visit = rng.choice(feed.held_out, len(rows))
        return {
            "history": feed.histories.before(visit, self._source.length),
            "candidates": feed.popular(int(rows.sum()), rng),
        }

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """The shop's own ids of what the user did, newest first, and of the candidates."""
        return feed_preparation.raw_of(self.requests(rows, seed, cache, progress), self._source.read(cache).ids, into)

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """The whole catalogue for each of up to 1,000 users; labels are what the held-out visit holds."""
        feed = self._source.read(cache)
        rng = np.random.default_rng([seed, 2])
        visit = np.sort(rng.permutation(feed.held_out)[:HELD_OUT_USERS])
        shown = feed.candidates(visit)
        taken = np.zeros(shown.shape, dtype=np.float32)
        taken[feed.histories.contents(visit)] = 1
        user, item = np.nonzero(shown)
        history = feed.histories.before(visit, self._source.length)
        return HeldOut({"history": history, "candidates": item}, shown.sum(axis=1), labels=taken[shown], groups=user)


def _batches(feed: Feed, windows: Array, size: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
    """Without end: histories [windows, length], where visits end in them (bool), and the targets that follow there."""
    while True:
        order = rng.permutation(len(windows))
        for start in range(0, len(order), size):
            event = windows[order[start : start + size]]
            following = feed.histories.next_visits(event)
            ends = following != NOTHING
            arrays = (feed.histories.items(event), ends, *feed.targets(following[ends]))
            yield tuple(torch.from_numpy(array) for array in arrays)


def _ranking(module: torch.nn.Module, history: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """The log-probability of every item of the catalogue at each of the histories' `ends`: [ends, items]."""
    model = cast(SasRec, module)
    items = torch.arange(1, model.items.num_embeddings)
    return torch.log_softmax(model.states(history)[ends] @ model.items(items).T, dim=1)
