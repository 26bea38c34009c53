"""What one replica can carry: measured service times, replayed through a queue with the traffic's arrivals.

Requests queue for the first free of k lanes (Kiefer and Wolfowitz; for one lane Lindley's recursion). The arrivals
are the same for every candidate, so that chance cancels in comparisons. Services come in short stretches as they were
measured, drawn at random, and not in the order of the round: how one contender's slow moments happen to lie together
would decide the tail.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from bakeoff.measure.traffic import Pattern, arrivals
from bakeoff.scenario import Traffic
from bakeoff.store.percentile import Floats

Numbers = np.ndarray[Any, Any]

FEWEST_SERVICES = 30
STRETCH = 64
"""Measured values that are drawn together, so that a slow moment of the machine stays one; a longer phase is cut up."""
_ONE_LANE, MORE_LANES = 120_000, 20_000
"""Requests replayed: the result is then within a few per cent of the queue's theory."""
_WARM_UP = 0.1
_STEPS = 14
POISSON = Pattern()


def made_up(asked: Traffic) -> Pattern:
    """How requests come where no trace says it."""
    if asked.burst is not None:
        return Pattern("burst", asked.burst.peak, asked.burst.share, asked.burst.length_s)
    return Pattern("constant") if asked.kind == "constant" else POISSON


def capacity_qps(
    service_s: Floats,
    lanes: int,
    dispatch_s: float,
    percentile: float,
    limit_ms: float,
    seed: int,
    pattern: Pattern = POISSON,
) -> float | None:
    """The highest rate at which the percentile of latency (wait + dispatch + service) is within the limit.

    `service_s`: at least 30 measured service times in order, of which stretches are drawn; None with fewer, or where an
    idle engine misses the limit.
    """
    if len(service_s) < FEWEST_SERVICES:
        return None
    services = np.ascontiguousarray(service_s, dtype=np.float64)
    return _search(services.tobytes(), lanes, limit_ms / 1e3 - dispatch_s, percentile, seed, pattern)


@lru_cache(maxsize=512)
def _search(
    service_s: bytes, lanes: int, limit_s: float, percentile: float, seed: int, pattern: Pattern
) -> float | None:
    """Kept, because a run is judged again after each of its rounds."""
    services = np.frombuffer(service_s)
    count = _ONE_LANE if lanes == 1 else MORE_LANES
    mixed = shuffled(services, count, seed)

    def replay(arrivals_s: Floats) -> Floats:
        return sojourns_s(arrivals_s, np.resize(mixed, len(arrivals_s)), lanes)

    return highest_rate(replay, lanes / float(services.mean()), count, limit_s, percentile, seed, pattern)


def shuffled(values: Numbers, count: int, seed: int) -> Numbers:
    """So many of the values for one replay: the same seed draws the same stretches of them."""
    return drawn(values, count, np.random.default_rng([seed, STRETCH]))


def drawn(values: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """So many of the values at random, in stretches as they were measured: each run then has chances of its own."""
    begins = rng.integers(0, len(values), (-(-count // STRETCH), 1))
    return np.asarray(values[((begins + np.arange(STRETCH)) % len(values)).reshape(-1)[:count]])


def highest_rate(
    replay: Callable[[Floats], Floats],
    saturation_qps: float,
    count: int,
    limit_s: float,
    percentile: float,
    seed: int,
    pattern: Pattern,
) -> float | None:
    """Bisection: the highest rate, up to saturation, at which `count` replayed arrivals hold the limit.

    `replay` gives each arrival's (seconds, ascending) time to its answer. None where no rate holds it.
    """
    scaled_s = arrivals(pattern, 1.0, count, seed) / 1e9 if pattern.kind in ("poisson", "constant") else None
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        load = (low + high) / 2
        rate = load * saturation_qps
        due_s = arrivals(pattern, rate, count / rate, seed) / 1e9 if scaled_s is None else scaled_s / rate
        latency_s = replay(due_s)
        settled = latency_s[int(len(latency_s) * _WARM_UP) :]
        holds = np.count_nonzero(settled > limit_s) <= int(len(settled) * (1.0 - percentile / 100.0))
        low, high = (load, high) if holds else (low, load)
    return low * saturation_qps if low > 0.0 else None


def sojourns_s(arrivals_s: Floats, services_s: Floats, lanes: int) -> Floats:
    """Wait + service of each request, in order of arrival, first come first served by the first free of `lanes`."""
    if lanes == 1:
        work = np.cumsum(services_s)
        done = work + np.maximum.accumulate(arrivals_s - (work - services_s))
        return np.asarray(done - arrivals_s)
    free = [0.0] * lanes
    sojourns: list[float] = []
    for arrival, service in zip(arrivals_s.tolist(), services_s.tolist(), strict=True):
        done = max(arrival, free[0]) + service
        heapq.heapreplace(free, done)
        sojourns.append(done - arrival)
    return np.array(sojourns)
