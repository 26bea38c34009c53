"""What the best has the least of: the scenario's objective as a figure by round, and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bakeoff.decide import stamps
from bakeoff.decide.sla import tail
from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.scenario.model import Objective
from bakeoff.store.record import CAPACITY_ROUND

MILLION = 1e6
ByRound = Mapping[int, Sequence[Block]]


@dataclass(frozen=True, slots=True)
class Words:
    """How one that has more of it, or less, is spoken of; and what it is called."""

    more: str
    less: str
    noun: str
    unit: str = ""


WORDS: Mapping[Objective, Words] = {
    "cost": Words("dearer", "cheaper", "cost"),
    "throughput": Words("slower", "faster", "throughput", "seconds per million items"),
    "p99": Words("slower", "faster", "latency", "ms"),
    "memory": Words("larger", "smaller", "memory", "bytes"),
    "energy": Words("hungrier", "thriftier", "energy", "joules per million items"),
}
"""The unit of a cost depends on the price."""
MISSING: Mapping[Objective, str] = {
    "memory": "its memory cannot be seen",
    "energy": "the energy that it takes cannot be read here; `bakeoff doctor` says what counters there are",
}
"""Why there is no figure, where more measuring brings none either."""


def require_cost(scenario: Scenario, what: str) -> None:
    """Raise UserError where a scenario's objective is another than the cost by which `what` goes."""
    if scenario.objective != "cost":
        raise UserError(f"{scenario.name}: its objective is {scenario.objective}; {what} goes by cost")


def scores(
    scenario: Scenario, by_round: ByRound, cost: Mapping[int, float], items_per_s: Mapping[int, float], remote: bool
) -> Mapping[int, float]:
    """The figure in each round that has one. One that is no positive number is none: it must never win."""
    percentile = scenario.sla.percentile if scenario.sla else 99.0
    found: Mapping[Objective, Callable[[], Mapping[int, float | None]]] = {
        "cost": lambda: cost,
        "throughput": lambda: {number: MILLION / each for number, each in items_per_s.items() if each},
        "p99": lambda: _each(by_round, lambda blocks: tail(blocks, percentile).value),
        "memory": lambda: {} if remote else _each(by_round, stamps.peak_memory_bytes),
        "energy": lambda: {} if remote else _each(by_round, _joules_per_million),
    }
    figures = found[scenario.objective]()
    return {n: each for n, each in figures.items() if each is not None and math.isfinite(each) and each > 0.0}


def _each(by_round: ByRound, figure: Callable[[Sequence[Block]], float | None]) -> dict[int, float | None]:
    return {number: figure(blocks) for number, blocks in by_round.items() if number != CAPACITY_ROUND}


def _joules_per_million(blocks: Sequence[Block]) -> float | None:
    """Of the whole machine, for a million items of answered requests; None where a counter told nonsense."""
    read = [block for block in blocks if isinstance(block.facts.get("energy_j"), int | float)]
    joules = [float(block.facts["energy_j"]) for block in read]
    items = sum(int(block.items[stamps.answered(block)].sum()) for block in read)
    return MILLION * sum(joules) / items if items and min(joules) > 0.0 else None
