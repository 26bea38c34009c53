"""The same worker process driven by MLPerf LoadGen and by us, in turn: whose figures are nearer to the truth."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bakeoff.errors import UserError
from bakeoff.measure.block import Int64
from bakeoff.measure.traffic import mean_qps, poisson, request_count
from bakeoff.selftest.alone import GRACE_S, SERVICE_S, SHARES, capacity_qps, check_service
from bakeoff.selftest.bench import Bench
from bakeoff.selftest.driving import LoadGen, require_loadgen, schedule_ns
from bakeoff.selftest.lending import Lendable
from bakeoff.selftest.reading import Reading, ours

REPEATS = 6
FIGURES = ("p50_error_us", "p99_error_us", "lateness_p50_us", "lateness_p99_us")
OWN_SCHEDULE = "own_schedule_rate_error"
"""How far the rate of the schedule that a tool draws itself, played or not, is from the one asked for: a fraction."""
_BLOCK_S = 4.0
_RATE_COUNT = 50_000
"""Requests in a test of the highest rate: no more than the pipe for the answers holds."""
_RATE_ASKED_QPS = 1e8


@dataclass(frozen=True, slots=True)
class Tool:
    """One generator's blocks by load, how far its own schedules' rates were off, and the rates at which it sent.

    The latter to a service that does nothing, and the errors (fractions) by load as well.
    """

    name: str
    readings: dict[float, list[Reading]] = field(default_factory=lambda: {share: [] for share in SHARES})
    own_schedule_errors: dict[float, list[float]] = field(default_factory=lambda: {share: [] for share in SHARES})
    rates_qps: list[float] = field(default_factory=list)

    @property
    def realtime(self) -> bool:
        """Whether it had real-time priority throughout."""
        return all(reading.realtime for readings in self.readings.values() for reading in readings)

    @property
    def rate_qps(self) -> float:
        """The highest rate: the median."""
        return median(self.rates_qps)

    def figures(self, shares: Sequence[float] = SHARES) -> dict[str, float]:
        """Medians over the blocks of these loads."""
        readings = [reading for share in shares for reading in self.readings[share]]
        return {name: median(getattr(reading, name) for reading in readings) for name in FIGURES}

    def own_schedule_rate_error(self, shares: Sequence[float] = SHARES) -> float:
        """How far the rate of its own schedules was from the one asked for, as a fraction: the median."""
        return median(error for share in shares for error in self.own_schedule_errors[share])


@dataclass(frozen=True, slots=True)
class Compared:
    """What the comparison found."""

    service_ms: float
    capacity_qps: float
    own_cpu: bool
    repeats: int
    ours: Tool
    loadgen: Tool

    def ratios(self, shares: Sequence[float] = SHARES) -> dict[str, float | None]:
        """Ours over theirs (None where theirs is 0): below 1, ours is nearer to the truth or less late."""
        mine, theirs = self.ours.figures(shares), self.loadgen.figures(shares)
        return {name.removesuffix("_us"): _over(mine[name], theirs[name]) for name in FIGURES}

    def as_json(self) -> dict[str, Any]:
        """Both tools' medians and the ratios, over both loads and for each; `rate` above 1: ours can send faster."""
        rate = _over(self.ours.rate_qps, self.loadgen.rate_qps)
        return {
            "ours": _column(self.ours),
            "loadgen": _column(self.loadgen) | {"version": version("mlcommons-loadgen")},
            "ratios": self.ratios() | {"rate": rate},
            "loads": {
                f"{share:.0%}": {
                    "ours": _at(self.ours, [share]),
                    "loadgen": _at(self.loadgen, [share]),
                    "ratios": self.ratios([share]),
                }
                for share in SHARES
            },
            "service_ms": self.service_ms,
            "capacity_qps": self.capacity_qps,
            "own_cpu": self.own_cpu,
            "repeats": self.repeats,
        }


def run(repeats: int = REPEATS, service_s: float = SERVICE_S, block_s: float = _BLOCK_S) -> Compared:
    """Drive one worker with both generators on the same CPUs, a block each at a time, in random order.

    Both play the schedule that LoadGen draws, so that chance in it favours neither. Raises UserError where LoadGen is
    not installed, and for repeats or a service that make no sense.
    """
    require_loadgen()
    check_service(service_s)
    if repeats < 1:
        raise UserError("--repeats: must be 1 or more")
    tools = [Tool(name) for name in ("bakeoff", "LoadGen")]
    with tempfile.TemporaryDirectory(prefix="bakeoff-selftest-") as folder:
        bench = Bench.here(Path(folder))
        loadgen = LoadGen(bench)
        with bench.start("idle", 0, answers=loadgen.answers) as engine:
            for seed in range(repeats):
                tools[0].rates_qps.append(_our_rate_qps(engine))
                tools[1].rates_qps.append(loadgen.rate_qps(engine, _RATE_ASKED_QPS, _RATE_COUNT, seed))
        with bench.start("steady", bench.rounds(service_s), answers=loadgen.answers) as engine:
            qps = capacity_qps(engine)
            for seed in range(repeats):
                turns = [(share, tool) for share in SHARES for tool in tools]
                for share, tool in random.Random(seed).sample(turns, len(turns)):
                    play = _our_block if tool is tools[0] else loadgen.block
                    tool.readings[share].append(play(engine, share * qps, block_s, seed))
                    draw = poisson if tool is tools[0] else _loadgens
                    tool.own_schedule_errors[share].append(_rate_error(draw(share * qps, block_s, seed), share * qps))
    return Compared(1e3 / qps, qps, bench.generator_cpu is not None, repeats, *tools)


def _our_block(engine: Lendable, qps: float, seconds: float, seed: int) -> Reading:
    """One block of ours on LoadGen's schedule."""
    return ours(engine.open(_loadgens(qps, seconds, seed), GRACE_S), qps)


def _loadgens(qps: float, seconds: float, seed: int) -> Int64:
    """LoadGen's schedule of a block."""
    return schedule_ns(qps, request_count(qps, seconds), seed)


def _rate_error(arrivals_ns: Int64, qps: float) -> float:
    return abs(mean_qps(arrivals_ns) / qps - 1)


def _our_rate_qps(engine: Lendable) -> float:
    """How many requests a second we send when all are due at once."""
    arrivals_ns = poisson(_RATE_ASKED_QPS, _RATE_COUNT / _RATE_ASKED_QPS, seed=0)
    sent_ns = engine.open(arrivals_ns, GRACE_S).sent_ns
    return (_RATE_COUNT - 1) / (int(sent_ns[-1] - sent_ns[0]) / 1e9)


def _column(tool: Tool) -> dict[str, Any]:
    return _at(tool, SHARES) | {"rate_qps": tool.rate_qps, "realtime": tool.realtime}


def _at(tool: Tool, shares: Sequence[float]) -> dict[str, float]:
    return tool.figures(shares) | {OWN_SCHEDULE: tool.own_schedule_rate_error(shares)}


def _over(mine: float, theirs: float) -> float | None:
    return mine / theirs if theirs else None
