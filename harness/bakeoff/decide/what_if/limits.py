"""The least latency limit at which a candidate would have passed, by the very blocks that it missed the SLA with."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from bakeoff.decide import stamps
from bakeoff.decide.evidence import at_once
from bakeoff.decide.replica import read
from bakeoff.decide.sla import judge_sla, percentile_ms
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.store.record import CAPACITY_ROUND, CandidateRecord

SETTLED = 0.95
"""Above so large a share of what its lanes can serve, a queue is still growing when a block ends: no limit is told."""
_FARTHEST = 1000.0
"""Limits so many times the one asked for are no answer."""


def least_limit_ms(record: CandidateRecord, scenario: Scenario) -> float | None:
    """The least limit, in two figures, at which the SLA's test passes; where the sample is too small for that at any
    limit, the end of the percentile's interval. None where no limit helps, or none can be told.

    Where as many requests are asked for as it can take, it is that of requests of which none waits.
    """
    sla, blocks = scenario.sla, _judged(record, scenario)
    if sla is None or not blocks or _overloaded(blocks, record, scenario):
        return None
    ladder = _ladder(sla.limit_ms, blocks)

    def passes(limit_ms: float) -> bool:
        return judge_sla(blocks, sla.percentile, limit_ms, sla.error_rate).outcome == "pass"

    if ladder and passes(ladder[-1]):
        return ladder[bisect_left(ladder, True, key=passes)]
    latencies = [stamps.latency_ms(block) for block in blocks]
    high_ms = percentile_ms(latencies, sla.percentile).high
    if high_ms is None or np.isinf(stamps.joined(latencies)).mean() > sla.error_rate:
        return None
    return next((rung for rung in ladder if rung >= high_ms), None)


def at_limit(scenario: Scenario, limit_ms: float) -> Scenario:
    """The same question with another limit."""
    sla = scenario.sla and scenario.sla.model_copy(update={"limit_ms": limit_ms})
    return scenario.model_copy(update={"sla": sla})


def _judged(record: CandidateRecord, scenario: Scenario) -> list[Block]:
    """Those that the SLA's test takes."""
    blocks = [entry.block for entry in record.blocks if entry.round != CAPACITY_ROUND]
    if not scenario.traffic.asks_capacity:
        return stamps.asked(blocks, scenario.traffic.open_loop)
    closed = [block for block in blocks if block.kind == "closed"]
    return [min(closed, key=stamps.mean_items)] if closed else []


def _overloaded(blocks: Sequence[Block], record: CandidateRecord, scenario: Scenario) -> bool:
    rate = scenario.traffic.rate
    if rate is None or not scenario.traffic.open_loop or not any(stamps.answered(block).any() for block in blocks):
        return False
    replica = read(blocks, record.candidate.setting, at_once(record, scenario))
    return rate > SETTLED * replica.saturation_qps


def _ladder(asked_ms: float, blocks: Sequence[Block]) -> list[float]:
    """Limits of two figures from the one asked for up to all that was measured."""
    latencies = stamps.joined([stamps.latency_ms(block) for block in blocks])
    worst_ms = max(latencies[np.isfinite(latencies)], default=0.0)
    first = math.floor(math.log10(asked_ms)) - 1
    rungs = (float(f"{figures}e{power}") for power in range(first, first + 5) for figures in range(10, 100))
    higher = [rung for rung in rungs if asked_ms < rung <= asked_ms * _FARTHEST]
    return higher[: bisect_left(higher, worst_ms) + 1]
