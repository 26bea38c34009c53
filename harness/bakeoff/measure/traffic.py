"""Arrival times of an open loop, made before the block starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bakeoff.measure.block import Float64, Int32, Int64

Kind = Literal["poisson", "constant", "burst", "trace"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How requests come, whatever their rate.

    A burst has `peak` times the mean rate, takes `share` of the time and lasts `length_s` on average. A trace holds
    `times` (float64: from 0 on, ascending, a mean gap of 1 s) and, where its requests differ in size, `items` (int32).
    """

    kind: Kind = "poisson"
    peak: float = 1.0
    share: float = 0.0
    length_s: float = 0.0
    times: bytes = b""
    items: bytes = b""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The requests of a block: arrivals in ns from 0 on, ascending, and the items of each where the pattern says."""

    arrivals_ns: Int64
    items: Int32 | None = None


def recorded(times_s: Float64, items: Int32 | None = None) -> Pattern:
    """The pattern of recorded arrivals: seconds from 0 on, ascending, at least two of them and not all at once."""
    times = np.asarray(times_s, np.float64) * ((len(times_s) - 1) / float(times_s[-1]))
    return Pattern("trace", times=times.tobytes(), items=b"" if items is None else items.astype(np.int32).tobytes())


def schedule(pattern: Pattern, qps: float, seconds: float, seed: int) -> Schedule:
    """The requests of a block of `seconds` at `qps`; the same seed gives the same ones.

    Of a trace it is a window with the rate that the window has, the trace as a whole having `qps`; of all others
    round(qps x seconds) requests (at least one) over exactly that span, so that the rate is exactly the one asked for.
    """
    if pattern.kind == "trace":
        return _replayed(pattern, qps, seconds, seed)
    if pattern.kind == "burst":
        return Schedule(_bursts(pattern, qps, seconds, seed))
    return Schedule(constant(qps, seconds) if pattern.kind == "constant" else poisson(qps, seconds, seed))


def arrivals(pattern: Pattern, qps: float, seconds: float, seed: int) -> Int64:
    """The arrivals alone of `schedule`: ns from 0 on, ascending."""
    return schedule(pattern, qps, seconds, seed).arrivals_ns


def poisson(qps: float, seconds: float, seed: int) -> Int64:
    """Poisson arrivals in ns from 0 on: round(qps x seconds) of them (at least one), ascending.

    A Poisson process with a given count is that many independent uniform moments, sorted: drawn so, the offered load
    is exactly the one asked for (MLPerf's LoadGen, which draws gaps, offers 406.6 QPS when asked for 400).
    """
    count = request_count(qps, seconds)
    moments = np.random.default_rng(seed).uniform(0, count / qps * 1e9, count)
    return np.sort(moments).astype(np.int64)


def constant(qps: float, seconds: float) -> Int64:
    """Evenly spaced arrivals in ns from 0 on: round(qps x seconds) of them (at least one)."""
    return (np.arange(request_count(qps, seconds)) * (1e9 / qps)).astype(np.int64)


def mean_qps(arrivals_ns: Int64) -> float:
    """Requests per second of a schedule that ends a mean gap after its last arrival."""
    last_s = float(arrivals_ns[-1]) / 1e9
    return len(arrivals_ns) / (last_s * (1 + 1 / len(arrivals_ns))) if last_s > 0 else float("inf")


def request_count(qps: float, seconds: float) -> int:
    """How many requests a block of `seconds` at `qps` has: at least one."""
    return max(1, round(qps * seconds))


def burst_path(pattern: Pattern, span_s: float, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Moments (seconds from 0 to `span_s`, ascending) at which bursts begin and end, and the cumulated rate at each of
    them, in seconds of the mean rate.

    The path is that of an on/off Markov chain on a ring of this length, given that bursts take exactly their share of
    it: so the rate and the height of the bursts are as asked in every block. It begins with a quiet stretch.
    """
    bursts = _how_many(span_s * pattern.share / pattern.length_s, rng)
    quiet = max(0.0, 1 - pattern.peak * pattern.share) / (1 - pattern.share)
    stretches_s, rates = np.empty(2 * bursts), np.resize([quiet, pattern.peak], 2 * bursts)
    stretches_s[::2] = _parts(bursts, rng) * span_s * (1 - pattern.share)
    stretches_s[1::2] = _parts(bursts, rng) * span_s * pattern.share
    ends_s, mass_s = (np.append(0.0, np.cumsum(each)) for each in (stretches_s, stretches_s * rates))
    return ends_s, mass_s


def _bursts(pattern: Pattern, qps: float, seconds: float, seed: int) -> Int64:
    """Poisson arrivals of two rates: independent moments of the cumulated rate, taken back to times along a path that
    begins at a random place of its ring."""
    rng = np.random.default_rng(seed)
    count = request_count(qps, seconds)
    span_s = count / qps
    ends_s, mass_s = burst_path(pattern, span_s, rng)
    moments_s = np.interp(rng.uniform(0, mass_s[-1], count), mass_s, ends_s)
    return (np.sort((moments_s + rng.uniform(0, span_s)) % span_s) * 1e9).astype(np.int64)


def _how_many(expected: float, rng: np.random.Generator) -> int:
    """The bursts on the ring, at least one: n with odds expected^2n / ((n-1)!^2 n), by the density of such paths."""
    n = np.arange(1, int(expected + 10 * expected**0.5) + 10)
    log_odds = 2 * n * np.log(expected) - 2 * np.cumsum(np.log(np.maximum(n - 1, 1))) - np.log(n)
    odds = np.exp(log_odds - log_odds.max())
    return int(rng.choice(n, p=odds / odds.sum()))


def _parts(count: int, rng: np.random.Generator) -> Float64:
    """Exponential stretches, given that they sum to 1: the gaps between independent uniform moments."""
    return np.diff(np.sort(rng.uniform(0, 1, count - 1)), prepend=0.0, append=1.0)


def _replayed(pattern: Pattern, qps: float, seconds: float, seed: int) -> Schedule:
    """A window of the trace from a random moment on, which goes on at its start; an empty one begins at an arrival."""
    times = np.frombuffer(pattern.times, np.float64)
    begin = float(np.random.default_rng(seed).uniform(0, len(times)))
    laps, rest = divmod(begin + qps * seconds, len(times))
    first, last = np.searchsorted(times, begin), int(laps) * len(times) + np.searchsorted(times, rest)
    lap, place = np.divmod(np.arange(first, max(last, first + 1)), len(times))
    moments = lap * float(len(times)) + times[place]
    begin = begin if last > first else moments[0]
    items = np.frombuffer(pattern.items, np.int32)[place] if pattern.items else None
    return Schedule(((moments - begin) * (1e9 / qps)).astype(np.int64), items)
