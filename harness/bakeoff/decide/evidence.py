"""What the stamps of one candidate say, read once: latency, capacity and cost by round, trust. No judgement yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bakeoff.decide import stamps
from bakeoff.decide.capacity import FEWEST_SERVICES, capacity_qps
from bakeoff.decide.cost import cost_per_million
from bakeoff.decide.noise import over_budget
from bakeoff.decide.sla import Percentile, SlaResult, judge_errors, judge_sla, percentile_ms
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.store.percentile import percentile_or_none
from bakeoff.store.record import SCREEN_ROUND, CandidateRecord, ScenarioRecord

DEFAULT_ERROR_RATE = 0.001
NO_PERCENTILE = Percentile(None, None, None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One candidate's figures. Mappings go from round to figure; round 0 is the screen. Absent figures are None."""

    record: CandidateRecord
    sla: SlaResult | None = None
    p50_ms: float | None = None
    tail: Percentile = NO_PERCENTILE
    mean_ms: float | None = None
    offered_qps: float | None = None
    capacity_qps: Mapping[int, float] | None = None
    items_per_s: Mapping[int, float] | None = None
    cost: Mapping[int, float] | None = None
    cpu_ms_per_request: float | None = None
    peak_memory_bytes: float | None = None
    requests: int = 0
    wall_s: float = 0.0
    blocks_over_budget: int = 0
    over_budget: str = ""
    blocks: int = 0
    backwards: bool = False
    rounds: int = 0

    @property
    def round_costs(self) -> dict[int, float]:
        """The cost in each interleaved round: what comparisons rest on."""
        return {number: cost for number, cost in (self.cost or {}).items() if number > SCREEN_ROUND}

    @property
    def screen_cost(self) -> float | None:
        """The cost by the screening block alone."""
        return (self.cost or {}).get(SCREEN_ROUND)

    @property
    def mean_cost(self) -> float | None:
        """The geometric mean of the rounds' costs; by the screen where there was no round."""
        known = list(self.round_costs.values()) or [cost for cost in [self.screen_cost] if cost is not None]
        return math.exp(math.fsum(map(math.log, known)) / len(known)) if known else None


def cpus_held(record: ScenarioRecord, scenario: Scenario) -> int:
    """The cores of a replica: as the scenario says, else all that a candidate's setting takes."""
    settings = [candidate.candidate.setting for candidate in record.candidates]
    return scenario.resources.cpus or max((s.threads * s.instances for s in settings), default=1)


def gather(record: CandidateRecord, scenario: Scenario, cpus: int) -> Evidence:
    """Read a candidate's blocks, once each."""
    if not record.blocks:
        return Evidence(record)
    by_round: dict[int, list[Block]] = {}
    for entry in record.blocks:
        by_round.setdefault(entry.round, []).append(entry.block)
    blocks = [block for number in sorted(by_round) for block in by_round[number]]
    latencies = [stamps.latency_ms(block) for block in blocks]
    percentile = scenario.sla.percentile if scenario.sla else 99.0
    rates = {number: _rates(part, record, scenario) for number, part in by_round.items()}
    items_per_s = {number: rate[1] for number, rate in rates.items() if rate is not None}
    return Evidence(
        record=record,
        sla=_sla(blocks, scenario),
        p50_ms=percentile_or_none(stamps.joined(latencies), 50.0),
        tail=percentile_ms(latencies, percentile),
        mean_ms=_mean_ms(blocks),
        offered_qps=blocks[-1].offered_qps,
        capacity_qps={number: rate[0] for number, rate in rates.items() if rate is not None},
        items_per_s=items_per_s,
        cost={number: cost_per_million(rate, cpus, scenario.price) for number, rate in items_per_s.items()},
        cpu_ms_per_request=_cpu_ms(blocks),
        peak_memory_bytes=_peak_memory_bytes(blocks),
        requests=sum(len(block) for block in blocks),
        wall_s=sum(block.wall_ns for block in blocks) / stamps.S,
        blocks_over_budget=sum(bool(block.facts.get("over_budget")) for block in blocks),
        over_budget=over_budget(blocks),
        blocks=len(blocks),
        backwards=any(stamps.backwards(block) for block in blocks),
        rounds=len(by_round.keys() - {SCREEN_ROUND}),
    )


def fact(record: CandidateRecord, name: str) -> float | None:
    """A number that some stage recorded: the latest in the ledger, else among the candidate's own facts."""
    for facts in [*(row.facts for row in reversed(record.ledger)), record.facts]:
        value: Any = facts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def _sla(blocks: Sequence[Block], scenario: Scenario) -> SlaResult:
    if scenario.sla is None:
        return judge_errors(blocks, DEFAULT_ERROR_RATE)
    return judge_sla(blocks, scenario.sla.percentile, scenario.sla.limit_ms, scenario.sla.error_rate)


def _rates(blocks: Sequence[Block], record: CandidateRecord, scenario: Scenario) -> tuple[float, float] | None:
    """Requests and items per second that a replica can carry, by one round's blocks; None where they cannot say.

    Open loop: the highest rate within the SLA. Closed loop: what was carried.
    """
    items = sum(int(block.items[stamps.answered(block)].sum()) for block in blocks)
    count = sum(int(stamps.answered(block).sum()) for block in blocks)
    seconds = sum(block.wall_ns for block in blocks) / stamps.S
    if not items or not seconds:
        return None
    if blocks[0].kind == "closed" or scenario.sla is None:
        return count / seconds, items / seconds
    lanes = max(1, record.candidate.setting.instances)
    services = stamps.joined([stamps.service_s(block) for block in blocks])
    dispatch = float(np.median([stamps.dispatch_s(block, lanes) for block in blocks]))
    sla = scenario.sla
    if len(services) < FEWEST_SERVICES:
        return None
    qps = capacity_qps(services, lanes, dispatch, sla.percentile, sla.limit_ms, scenario.seed)
    return None if qps is None else (qps, qps * items / count)


def _mean_ms(blocks: Sequence[Block]) -> float | None:
    """The mean service time, as a leaderboard would give it."""
    services = stamps.joined([stamps.service_s(block) for block in blocks])
    return float(services.mean()) * 1e3 if len(services) else None


def _cpu_ms(blocks: Sequence[Block]) -> float | None:
    count = sum(int(stamps.answered(block).sum()) for block in blocks)
    return sum(block.cpu_ns for block in blocks) / stamps.MS / count if count else None


def _peak_memory_bytes(blocks: Sequence[Block]) -> float | None:
    found = (block.facts.get(name) for block in blocks for name in ("peak_memory_bytes", "memory_bytes"))
    peaks = [float(peak) for peak in found if isinstance(peak, int | float)]
    return max((peak for peak in peaks if math.isfinite(peak) and peak > 0.0), default=None)
