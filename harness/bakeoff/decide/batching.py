"""What a replica behind a batcher can carry: its measured batches as a service model, and its queue replayed with them.

The replay follows `measure.batching` step by step: one lane collects at a time, a batch is complete when it is full,
when the next request does not fit, or when its wait is over; k lanes compute side by side.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from bakeoff.backends import Batching
from bakeoff.decide import stamps
from bakeoff.decide.capacity import MORE_LANES, Numbers, highest_rate, shuffled
from bakeoff.measure.block import Block
from bakeoff.measure.traffic import Pattern
from bakeoff.store.percentile import Floats

_REFITS = 20


@dataclass(frozen=True, slots=True)
class Service:
    """How long a call takes: `base_s` + `per_item_s` for each item, times one of the measured `ratios` (mean 1)."""

    base_s: float
    per_item_s: float
    ratios: tuple[float, ...]


def fit_service(started_ns: Numbers, done_ns: Numbers, items: Numbers) -> Service:
    """The service model of measured batches: requests with the same two stamps were one call.

    Relative errors weigh alike (a gamma model with an identity link), so that the ratios' mean is 1. Neither part may
    be negative. Where all calls have one size, the whole time counts as per item: the most cautious guess at a larger
    one. Raises ValueError where no request was answered.
    """
    sizes, seconds = calls(started_ns, done_ns, items)
    if not len(sizes):
        raise ValueError("no batch was answered")
    base_s, per_item_s = _affine(sizes, seconds)
    return Service(base_s, per_item_s, tuple((seconds / (base_s + per_item_s * sizes)).tolist()))


def calls(started_ns: Numbers, done_ns: Numbers, items: Numbers) -> tuple[Floats, Floats]:
    """The items and the seconds of each answered call, in the order begun."""
    answered = (started_ns >= 0) & (done_ns > started_ns)
    pairs = np.stack([started_ns[answered], done_ns[answered]], axis=1)
    found, call_of = np.unique(pairs, axis=0, return_inverse=True)
    sizes = np.bincount(call_of.reshape(-1), weights=items[answered], minlength=len(found)).astype(np.float64)
    return sizes, np.asarray((found[:, 1] - found[:, 0]) / stamps.S)


def _affine(sizes: Floats, seconds: Floats) -> tuple[float, float]:
    proportional = float((seconds / sizes).mean())
    if np.ptp(sizes) == 0:
        return 0.0, proportional
    expected = proportional * sizes
    base_s, per_item_s = 0.0, proportional
    for _ in range(_REFITS):
        weights = 1 / expected
        rows = np.stack([weights, sizes * weights], axis=1)
        (base_s, per_item_s), *_ = np.linalg.lstsq(rows, seconds * weights, rcond=None)
        if base_s < 0:
            return 0.0, proportional
        if per_item_s < 0:
            return float(seconds.mean()), 0.0
        expected = base_s + per_item_s * sizes
    return float(base_s), float(per_item_s)


def batched_sojourns_s(arrivals_s: Floats, items: Numbers, service: Service, lanes: int, batching: Batching) -> Floats:
    """From arrival (ascending) to answer for each request of `items`, served in batches by `lanes` lanes.

    The service's ratios are taken in the order given, over and over.
    """
    arrivals, ends = arrivals_s.tolist(), np.cumsum(items)
    before, reached = (ends - items).tolist(), ends.tolist()
    wait_s, most, count = batching.wait_ms / 1e3, batching.most_items, len(arrivals)
    base_s, per_item_s, ratios = service.base_s, service.per_item_s, service.ratios
    free, firsts, dones = [-math.inf] * lanes, [0], list[float]()
    collecting_until, read_s, read, first = -math.inf, -math.inf, 0, 0
    while first < count:
        taken_s = max(free[0], collecting_until)
        if first >= read:
            read_s = max(taken_s, arrivals[first])
        until_s = max(taken_s, read_s + wait_s)
        fitting = max(first + 1, bisect_right(reached, before[first] + most, first))
        after = min(fitting, bisect_right(arrivals, until_s, first + 1))
        total = reached[after - 1] - before[first]
        full, overflowing = total >= most, after < count and arrivals[after] <= until_s
        needed = after if full else after + 1 if overflowing else 0
        complete_s = max(taken_s, arrivals[needed - 1]) if needed else until_s
        if needed > read:
            read_s, read = complete_s, bisect_right(arrivals, complete_s, needed)
        done_s = complete_s + (base_s + per_item_s * total) * ratios[len(dones) % len(ratios)]
        heapq.heapreplace(free, done_s)
        collecting_until, first = complete_s, after
        firsts.append(after)
        dones.append(done_s)
    return np.repeat(dones, np.diff(firsts)) - arrivals_s


@lru_cache(maxsize=512)
def batched_capacity_qps(
    service: Service,
    items: tuple[int, ...],
    lanes: int,
    batching: Batching,
    dispatch_s: float,
    percentile: float,
    limit_ms: float,
    seed: int,
    pattern: Pattern,
) -> float | None:
    """The highest rate at which the percentile of latency is within the limit; None where no rate is.

    `items` are those of the requests in the order measured. Kept, because a run is judged again after each round.
    """
    sizes = np.array(items)
    mixed = replace(service, ratios=tuple(shuffled(np.array(service.ratios), MORE_LANES, seed).tolist()))

    def replay(arrivals_s: Floats) -> Floats:
        return batched_sojourns_s(arrivals_s, np.resize(sizes, len(arrivals_s)), mixed, lanes, batching)

    full = max(1.0, batching.most_items / float(sizes.mean()))
    a_request_s = service.base_s / full + service.per_item_s * float(sizes.mean())
    limit_s = limit_ms / 1e3 - dispatch_s
    return highest_rate(replay, lanes / a_request_s, MORE_LANES, limit_s, percentile, seed, pattern)


def batched_dispatch_s(block: Block, batching: Batching) -> float:
    """The median time that the pipe costs: from sending a batch's first request, where all before it were answered, to
    its start, without the batcher's wait. Only batches whose wait ran out can tell; 0 where there is none."""
    valid = stamps.answered(block)
    sent, started, done = block.sent_ns[valid], block.started_ns[valid], block.done_ns[valid]
    if not len(sent):
        return 0.0
    idle = sent > np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(done)[:-1]])
    costs = (started - sent)[idle] / stamps.S - batching.wait_ms / 1e3
    costs = costs[costs >= 0]
    return float(np.median(costs)) if len(costs) else 0.0
