"""The self-test: how far our own percentiles are from the truth on this machine, now, and what that can resolve."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
from scipy import special

from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.traffic import poisson
from bakeoff.selftest.bench import POOL, Bench, stalling_seed
from bakeoff.selftest.lending import Lendable
from bakeoff.selftest.reading import Reading, ours

SHARES = (0.5, 0.8)
"""The loads, as shares of the service's capacity."""
SERVICE_S = 0.83e-3
SHORTEST_S, LONGEST_S = 1e-4, 1e-2
GRACE_S = 10.0
STALL_MS = 200.0
_BLOCKS, _BLOCK_S, _STALL_S = 5, 2.0, 3.0
_CAPACITY_S = 1.0
_CONFIDENCE, _POWER = 0.95, 0.8
_STALL_AT = (0.2, 0.4)


@dataclass(frozen=True, slots=True)
class Load:
    """Blocks of one schedule at one share of the capacity."""

    share: float
    readings: tuple[Reading, ...]

    def median(self, name: str) -> float:
        """The median of a reading's figure over the blocks."""
        return float(median(getattr(reading, name) for reading in self.readings))

    def resolves_us(self, name: str) -> float:
        """The least difference in `name` (in ms) between two engines that as many blocks of each mostly show, in us."""
        return smallest_difference([getattr(reading, name) for reading in self.readings]) * 1e3


@dataclass(frozen=True, slots=True)
class Stall:
    """The service stalls once: its p99 as a closed loop reports it, as we do, and in truth."""

    stall_ms: float
    closed_p99_ms: float
    open_p99_ms: float
    true_p99_ms: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the self-test found, from `seconds` at each load; `noise` is how restless the machine was just before."""

    service_ms: float
    capacity_qps: float
    own_cpu: bool
    seconds: float
    noise: Mapping[str, float]
    loads: tuple[Load, ...]
    stall: Stall

    @property
    def resolves(self) -> str:
        """What latency differences this machine can resolve now, and what that rests on, in two sentences."""
        parts = [_resolves(load) for load in self.loads]
        blocks = len(self.loads[0].readings)
        return (
            f"With {self.seconds:.0f} s of each of two engines, this machine can now tell apart latencies that differ"
            f" by {'; by '.join(parts)}. That rests on the spread just now of {blocks} blocks of one schedule:"
            f" with as many of each engine, so large a difference is significant (a t test at"
            f" {100 * (1 - _CONFIDENCE):.0f} %) {100 * _POWER:.0f} % of the time."
        )

    def as_json(self) -> dict[str, Any]:
        """All figures as JSON-able values."""
        return {
            "service_ms": self.service_ms,
            "capacity_qps": self.capacity_qps,
            "own_cpu": self.own_cpu,
            "realtime": all(reading.realtime for load in self.loads for reading in load.readings),
            "seconds": self.seconds,
            "noise": dict(self.noise),
            "loads": {f"{load.share:.0%}": _figures(load) for load in self.loads},
            "stall": asdict(self.stall),
            "resolves": self.resolves,
        }


def run(service_s: float = SERVICE_S, blocks: int = _BLOCKS, block_s: float = _BLOCK_S) -> Found:
    """Measure a service of `service_s` at both loads, `blocks` times `block_s`, and once with a stall.

    Raises UserError for a service that is too short or too long.
    """
    check_service(service_s)
    noise = host.noise()
    with tempfile.TemporaryDirectory(prefix="bakeoff-selftest-") as folder:
        bench = Bench.here(Path(folder))
        rounds = bench.rounds(service_s)
        with bench.start("steady", rounds) as engine:
            qps = capacity_qps(engine)
            readings: dict[float, list[Reading]] = {share: [] for share in SHARES}
            for turn in range(blocks):
                for share in SHARES if turn % 2 else SHARES[::-1]:
                    readings[share].append(block(engine, share * qps, block_s, seed=1))
        with bench.start("stalling", rounds, STALL_MS) as engine:
            stall = _stall(engine, SHARES[-1] * qps)
    loads = tuple(Load(share, tuple(found)) for share, found in readings.items())
    return Found(1e3 / qps, qps, bench.generator_cpu is not None, blocks * block_s, noise, loads, stall)


def check_service(service_s: float) -> None:
    """Raise UserError unless the service's duration is one that can be calibrated and measured in a short time."""
    if not SHORTEST_S <= service_s <= LONGEST_S:
        raise UserError(f"--service: must be from {SHORTEST_S * 1e3:g}ms to {LONGEST_S * 1e3:g}ms")


def capacity_qps(engine: Lendable) -> float:
    """What the service can answer in a second, by its median duration in a closed loop."""
    return 1e3 / float(np.median(engine.closed(_CAPACITY_S).service_ms()))


def block(engine: Lendable, qps: float, seconds: float, seed: int) -> Reading:
    """One open block with Poisson arrivals."""
    return ours(engine.open(poisson(qps, seconds, seed), GRACE_S), qps)


def smallest_difference(values: Sequence[float]) -> float:
    """The least difference between the means of two such samples that a t test at 5 % shows four times in five.

    The usual sum of two quantiles: what is significant when seen, and what it takes to see that much so often.
    """
    count = len(values)
    significant, often = special.stdtrit(2 * (count - 1), [(1 + _CONFIDENCE) / 2, _POWER])
    return float(significant + often) * stdev(values) * math.sqrt(2 / count)


def _stall(engine: Lendable, qps: float) -> Stall:
    """The same requests in a closed and in an open loop; one of them stalls the service."""
    count = min(round(qps * _STALL_S), POOL // 2)
    seed = stalling_seed(count, *_STALL_AT)
    closed = engine.closed(4 * _STALL_S, limit=count, seed=seed)
    read = ours(engine.open(poisson(qps, count / qps, seed), GRACE_S, seed=seed), qps)
    closed_p99_ms = float(np.quantile(closed.latency_ms(), 0.99, method="inverted_cdf"))
    return Stall(STALL_MS, closed_p99_ms, read.p99_ms, read.true_p99_ms)


def _resolves(load: Load) -> str:
    def words(name: str) -> str:
        least_us = load.resolves_us(name)
        return f"{least_us:,.0f} µs ({least_us / 10 / fmean(getattr(one, name) for one in load.readings):.1f} %)"

    return f"{words('p50_ms')} in p50 and {words('p99_ms')} in p99 at {load.share:.0%} load"


def _figures(load: Load) -> dict[str, float]:
    names = [
        "p50_ms", "true_p50_ms", "p50_error_us", "p99_ms", "true_p99_ms", "p99_error_us", "lateness_p50_us",
        "lateness_p99_us", "offered_error",
    ]  # fmt: skip
    resolves = {f"resolves_{name}_us": load.resolves_us(f"{name}_ms") for name in ("p50", "p99")}
    return {name: load.median(name) for name in names} | resolves
