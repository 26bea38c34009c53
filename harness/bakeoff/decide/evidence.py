"""What the stamps of one candidate say, read once: latency, capacity and cost by round, trust. No judgement yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bakeoff.decide import stamps
from bakeoff.decide.capacity import FEWEST_SERVICES, made_up
from bakeoff.decide.compare import NO_BOUNDS, Bounds
from bakeoff.decide.cost import cost_per_million
from bakeoff.decide.noise import left_cpus, over_budget
from bakeoff.decide.objective import scores
from bakeoff.decide.replica import read
from bakeoff.decide.search import Bracket, bracket, judged
from bakeoff.decide.sla import Percentile, SlaResult, judge_errors, judge_sla, percentile_ms
from bakeoff.measure.block import Block
from bakeoff.measure.traffic import Pattern, mean_qps, recorded
from bakeoff.scenario import Scenario, Sla
from bakeoff.store.percentile import percentile_or_none
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND, CandidateRecord, ScenarioRecord

DEFAULT_ERROR_RATE = 0.001
NO_PERCENTILE = Percentile(None, None, None)
NO_BRACKET = Bracket()
UNCLEAR_LOAD = 0.3
"""The share of what its lanes could carry at which an engine is tried whose replayed service times hold at no rate."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One candidate's figures. Mappings go from round to figure; round 0 is the screen. Absent figures are None.

    `capacity_qps` are replayed service times (their mean: `replayed_qps`), which holding.py moves into `bracket`, what
    blocks at nearby rates showed; `bounds` say what that comes to in scores. `score` is what the objective counts: the
    cost, unless the scenario names another. Latencies and the SLA are at the rate asked
    for; where the capacity itself is asked for, at the highest that passed.
    """

    record: CandidateRecord
    sla: SlaResult | None = None
    p50_ms: float | None = None
    tail: Percentile = NO_PERCENTILE
    mean_ms: float | None = None
    offered_qps: float | None = None
    capacity_qps: Mapping[int, float] | None = None
    replayed_qps: float | None = None
    bracket: Bracket = NO_BRACKET
    bounds: Bounds = NO_BOUNDS
    items_per_s: Mapping[int, float] | None = None
    cost: Mapping[int, float] | None = None
    score: Mapping[int, float] | None = None
    by_capacity: bool = True
    """Whether the score follows from the capacity."""
    cpu_ms_per_request: float | None = None
    peak_memory_bytes: float | None = None
    preparation_share: float | None = None
    requests: int = 0
    wall_s: float = 0.0
    blocks_over_budget: int = 0
    over_budget: str = ""
    left_cpus: bool = False
    blocks: int = 0
    backwards: bool = False
    rounds: int = 0
    cpus: int | None = None
    """The cores that it holds, None where nobody knows."""

    @property
    def held(self) -> float:
        """The factor by which blocks at nearby rates moved the replayed capacity."""
        capacity_qps = _mean(self.capacity_qps or {})
        return capacity_qps / self.replayed_qps if capacity_qps and self.replayed_qps else 1.0

    @property
    def round_scores(self) -> dict[int, float]:
        """The score in each interleaved round: what comparisons rest on."""
        return _rounds(self.score)

    @property
    def screen_score(self) -> float | None:
        """The score by the screening block alone."""
        return (self.score or {}).get(SCREEN_ROUND)

    @property
    def mean_score(self) -> float | None:
        """The geometric mean of the rounds' scores; by the screen where there was no round."""
        return _mean(self.score or {})

    @property
    def round_costs(self) -> dict[int, float]:
        """The cost in each interleaved round."""
        return _rounds(self.cost)

    @property
    def screen_cost(self) -> float | None:
        """The cost by the screening block alone."""
        return (self.cost or {}).get(SCREEN_ROUND)

    @property
    def mean_cost(self) -> float | None:
        """The geometric mean of the rounds' costs; by the screen where there was no round."""
        return _mean(self.cost or {})


def cpus_held(record: ScenarioRecord, scenario: Scenario) -> int:
    """The cores of a replica: as the scenario says, else all that a candidate's setting takes."""
    settings = [one.candidate.setting for one in record.candidates if not one.candidate.remote]
    return scenario.resources.cpus or max((s.threads * s.instances for s in settings), default=1)


def cpus_of(record: CandidateRecord, scenario: Scenario, cpus: int) -> int | None:
    """The cores that one candidate holds: `cpus`, or those that the scenario says a server has."""
    server = scenario.candidates.servers.get(record.candidate.backend)
    return cpus if server is None else server.cpus


def has_cost(held: int | None, scenario: Scenario) -> bool:
    """Whether what so many cores (None: nobody knows how many) cost can be said."""
    return held is not None or (scenario.price is not None and scenario.price.per == "host-hour")


def gather(record: CandidateRecord, scenario: Scenario, cpus: int) -> Evidence:
    """Read a candidate's blocks, once each; its capacity is as replayed (holding.py holds it within its bracket).

    Of a server elsewhere, what its client used of this machine's CPUs and memory is no figure.
    """
    remote, held = record.candidate.remote, cpus_of(record, scenario, cpus)
    if not record.blocks:
        return Evidence(record, left_cpus=not remote and left_cpus(record.ledger), cpus=held)
    by_round: dict[int, list[Block]] = {}
    for entry in record.blocks:
        by_round.setdefault(entry.round, []).append(entry.block)
    everything = [block for number in sorted(by_round) for block in by_round[number]]
    results = judged(everything, scenario.sla) if scenario.sla else {}
    found = bracket(results)
    rates = _by_round_rates(by_round, record, scenario)
    capacity = {number: qps for number, (qps, _) in rates.items()}
    items_per_s = {number: items for number, (_, items) in rates.items()}
    counted = items_per_s if has_cost(held, scenario) else {}
    price, gpus = scenario.price, scenario.resources.gpus
    cost = {number: cost_per_million(each, held or 1, price, gpus) for number, each in counted.items()}
    live = scenario.traffic.open_loop
    as_asked = {number: stamps.asked(part, live) or part for number, part in by_round.items()}
    score = scores(scenario, as_asked, cost, items_per_s, remote)
    by_capacity = scenario.objective in ("cost", "throughput")
    replayed_qps = _mean(capacity)
    if scenario.traffic.asks_capacity:
        blocks = [block for block in everything if found.passed_qps and block.offered_qps == found.passed_qps]
    else:
        played = [block for number in sorted(by_round) if number != CAPACITY_ROUND for block in by_round[number]]
        blocks = stamps.asked(played, live)
    latencies = [stamps.latency_ms(block) for block in blocks]
    percentile = scenario.sla.percentile if scenario.sla else 99.0
    return Evidence(
        record=record,
        sla=_capacity_sla(record, everything, results, found, scenario.sla)
        if scenario.traffic.asks_capacity and scenario.sla
        else _sla(blocks, scenario),
        p50_ms=percentile_or_none(stamps.joined(latencies), 50.0),
        tail=percentile_ms(latencies, percentile),
        mean_ms=_mean_ms(blocks or everything),
        offered_qps=blocks[-1].offered_qps if blocks else None,
        capacity_qps=capacity,
        replayed_qps=replayed_qps,
        bracket=found,
        bounds=_bounds(found, replayed_qps, _mean(score) if by_capacity else None),
        items_per_s=items_per_s,
        cost=cost,
        score=score,
        by_capacity=by_capacity,
        cpu_ms_per_request=None if remote else _cpu_ms(blocks or everything),
        peak_memory_bytes=None if remote else stamps.peak_memory_bytes(everything),
        preparation_share=_preparation_share(blocks or everything),
        requests=sum(len(block) for block in blocks),
        wall_s=sum(block.wall_ns for block in blocks) / stamps.S,
        blocks_over_budget=0 if remote else sum(bool(block.facts.get("over_budget")) for block in everything),
        over_budget="" if remote else over_budget(everything),
        left_cpus=not remote and left_cpus([*record.ledger, *everything]),
        blocks=len(everything),
        backwards=any(stamps.backwards(block) for block in everything),
        rounds=len(by_round.keys() - {SCREEN_ROUND, CAPACITY_ROUND}),
        cpus=held,
    )


def likely_capacity(record: CandidateRecord, scenario: Scenario) -> float | None:
    """The requests per second that the SLA likely allows, by what was measured so far; None where that cannot say."""
    found = gather(record, scenario, 1)
    if found.replayed_qps is not None or found.mean_ms is None:
        return found.replayed_qps
    return UNCLEAR_LOAD * at_once(record, scenario) / (found.mean_ms / 1e3)


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


def _capacity_sla(
    record: CandidateRecord, blocks: Sequence[Block], results: Mapping[float, SlaResult], found: Bracket, sla: Sla
) -> SlaResult | None:
    """Where the capacity is asked for: the test at the highest rate that passed, else at the lowest that failed, where
    the search ended there with none left undecided, else of a closed loop of single requests, where none waits for
    another."""
    if found.passed_qps is not None:
        return results[found.passed_qps]
    row = record.row("capacity")
    if found.failed_qps is not None and not found.undecided_qps and row is not None and row.facts.get("complete"):
        result = results[found.failed_qps]
        return replace(result, reason=f"even at {found.failed_qps:.3g} requests/s {result.reason}")
    closed = [block for block in blocks if block.kind == "closed"]
    single = [min(closed, key=stamps.mean_items)] if closed else []  # beside it a batcher has a block of joined calls
    alone = judge_sla(single, sla.percentile, sla.limit_ms, sla.error_rate)
    return replace(alone, reason=f"even with none waiting {alone.reason}") if alone.outcome == "fail" else None


def _by_round_rates(
    by_round: Mapping[int, Sequence[Block]], record: CandidateRecord, scenario: Scenario
) -> dict[int, tuple[float, float]]:
    rates = {
        number: _rates(part, record, scenario, number) for number, part in by_round.items() if number != CAPACITY_ROUND
    }
    return {number: rate for number, rate in rates.items() if rate is not None}


def _bounds(found: Bracket, qps: float | None, score: float | None) -> Bounds:
    """What a bracket says of the mean score, which is that of the mean `qps`."""
    if not qps or not score:
        return NO_BOUNDS
    low = score * qps / found.failed_qps if found.failed_qps else 0.0
    return Bounds(0.0, low, score * qps / found.passed_qps if found.passed_qps else math.inf)


def _rounds(by_round: Mapping[int, float] | None) -> dict[int, float]:
    return {number: each for number, each in (by_round or {}).items() if number > SCREEN_ROUND}


def _mean(by_round: Mapping[int, float]) -> float | None:
    """The geometric mean of the rounds; the screen's where there was no round."""
    known = [each for number, each in by_round.items() if number > SCREEN_ROUND] or list(by_round.values())
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if known else None


def _rates(
    blocks: Sequence[Block], record: CandidateRecord, scenario: Scenario, number: int
) -> tuple[float, float] | None:
    """Requests and items per second that a replica can carry, by one round's blocks; None where they cannot say.

    Live traffic: the highest rate within the SLA, by replaying service times through a queue; each round draws its own
    arrivals. Else what was carried.
    """
    busy = stamps.busy(blocks)
    items = sum(int(block.items[stamps.answered(block)].sum()) for block in busy)
    count = sum(int(stamps.answered(block).sum()) for block in busy)
    seconds = sum(block.wall_ns for block in blocks) / stamps.S
    if not items or not seconds:
        return None
    if not scenario.traffic.open_loop or scenario.sla is None:
        return count / seconds, items / seconds
    if count < FEWEST_SERVICES:
        return None
    replica = read(blocks, record.candidate.setting, at_once(record, scenario))
    qps = replica.capacity_qps(scenario.sla, scenario.seed + number, pattern_of(blocks, scenario))
    if qps is not None and scenario.traffic.trace is not None:
        qps *= _asked_over_had(blocks)
    return None if qps is None else (qps, qps * items / count)


def at_once(record: CandidateRecord, scenario: Scenario) -> int:
    """The requests that a candidate works on at once: one on each lane, on a server no more than it is known to have
    cores for, since connections are not what limits it."""
    instances = record.candidate.setting.instances
    return min(instances, cpus_of(record, scenario, 1) or 1) if record.candidate.remote else instances


def pattern_of(blocks: Sequence[Block], scenario: Scenario) -> Pattern:
    """How requests come: of a trace, which need not lie here any more, as they came in these blocks."""
    arrivals = [block.scheduled_ns for block in blocks if block.kind == "open"]
    if scenario.traffic.trace is None or not any(each[-1] > 0 for each in arrivals):
        return made_up(scenario.traffic)
    gaps_ns = np.concatenate([np.diff(each, append=each[-1] + each[-1] // len(each)) for each in arrivals])
    return recorded(np.cumsum(gaps_ns) / stamps.S)


def _asked_over_had(blocks: Sequence[Block]) -> float:
    """What the trace as a whole was asked to have, over what these windows of it had: 1 where none was open loop."""
    ratios = [block.offered_qps / mean_qps(block.scheduled_ns) for block in blocks if block.offered_qps]
    return float(np.mean(ratios)) if ratios else 1.0


def _mean_ms(blocks: Sequence[Block]) -> float | None:
    """The mean service time, as a leaderboard would give it."""
    services = stamps.joined([stamps.service_s(block) for block in blocks])
    return float(services.mean()) * 1e3 if len(services) else None


def _cpu_ms(blocks: Sequence[Block]) -> float | None:
    count = sum(int(stamps.answered(block).sum()) for block in blocks)
    return sum(block.cpu_ns for block in blocks) / stamps.MS / count if count else None


def _preparation_share(blocks: Sequence[Block]) -> float | None:
    """The median block's, of those where the preparation was a part of the requests."""
    shares = [share for share in (block.preparation_share() for block in blocks) if math.isfinite(share)]
    return float(np.median(shares)) if shares else None
