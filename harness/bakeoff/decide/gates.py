"""The gates before cost counts: a candidate ran, ranks well enough, answers in time, is trusted and measured enough."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from bakeoff.decide.evidence import Evidence, has_cost
from bakeoff.decide.features import lacking
from bakeoff.decide.objective import MISSING, WORDS
from bakeoff.decide.quality import allowed_loss, judge, worst_loss
from bakeoff.measure.gpu_memory import MIB
from bakeoff.scenario import Floor, Scenario
from bakeoff.scenario.environment import APART
from bakeoff.store.record import OK, CandidateRecord, Quality

FEWEST_ROUNDS, MOST_ROUNDS = 3, 20
BLOCKS_A_ROUND = 2
_FEWEST_OVER_BUDGET = 2
"""So many blocks over the CPU budget are no accident, where they are also more than a quarter of all."""

Status = Literal["ok", "failed", "open", "settled", "eliminated"]
"""failed: never acceptable. open: more time would settle it. settled: undecided, and no time would change that."""

OVER_CPUS = "over-cpus"
"""The outcome of what took more of the CPUs than it was given; `over-budget` is that of the run's time."""
_UNFINISHED = frozenset({"not-reached", "over-budget"})


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a candidate stands; `reason` is empty where it is accepted. `needed_s` more of its load would settle it."""

    status: Status
    stage: str
    outcome: str
    reason: str = ""
    needed_s: float = 0.0


ACCEPTED = Gate("ok", "serve", OK)


def gate(evidence: Evidence, scenario: Scenario, provisional: bool, cpu_flags: Collection[str] | None = None) -> Gate:
    """The first gate that a candidate does not pass, in the order in which they are cheap to check; one that it can
    never pass goes before one that more time may open, or that the race closed.

    `cpu_flags` are those of the host to serve on; None: of the one that measured.
    """
    steps = (
        _failed(evidence.record, scenario),
        _eliminated(evidence.record),
        _quality(evidence.record, scenario, provisional, lacking(evidence.record, cpu_flags)),
        _latency(evidence),
        _memory(evidence, scenario),
        _measured(evidence.record, scenario),
        _unpriced(evidence, scenario),
        _unseen(evidence, scenario),
        _undecided_latency(evidence, scenario),
        _rounds(evidence, scenario),
    )
    found = [step for step in steps if step is not None]
    never, settled = ([step for step in found if step.status == status] for status in ("failed", "settled"))
    return (never or settled or found or [ACCEPTED])[0]


def but_for_the_race(
    evidence: Evidence, scenario: Scenario, provisional: bool, cpu_flags: Collection[str] | None = None
) -> Gate:
    """Where it would stand with another limit of latency, and time for all: quality and trust alone."""
    ledger = tuple(row for row in evidence.record.ledger if row.outcome not in _UNFINISHED | {"eliminated"})
    again = replace(evidence, sla=None, record=replace(evidence.record, ledger=ledger))
    return gate(again, scenario, provisional, cpu_flags)


def _failed(record: CandidateRecord, scenario: Scenario) -> Gate | None:
    row = record.failure
    if row is None or row.outcome == "eliminated":
        return None
    reason = row.reason or f"{row.stage}: {row.outcome}"
    if row.outcome in _UNFINISHED:
        return Gate("open", row.stage, row.outcome, reason, _all_rounds_s(scenario))
    return Gate("failed", row.stage, row.outcome, reason)


def _all_rounds_s(scenario: Scenario) -> float:
    """The load that a candidate takes from the screen to the end of the fewest rounds."""
    return (1 + FEWEST_ROUNDS * BLOCKS_A_ROUND) * scenario.traffic.duration_s


def _eliminated(record: CandidateRecord) -> Gate | None:
    row = record.failure
    if row is None or row.outcome != "eliminated":
        return None
    return Gate("eliminated", row.stage, row.outcome, row.reason)


def _quality(record: CandidateRecord, scenario: Scenario, provisional: bool, elsewhere: str) -> Gate | None:
    """`elsewhere` says why the figures that are there do not hold where the candidate is to serve."""
    known = {} if elsewhere else {quality.metric: quality for quality in record.quality}
    undecided = None
    for metric, floor in scenario.quality.items():
        quality = known.get(metric)
        outcome = "undecided" if quality is None else judge(quality, floor)
        if quality is not None and outcome == "missed":
            return Gate("failed", "quality", "quality-missed", _loss(quality, allowed_loss(floor, quality.base)))
        if outcome == "undecided" and undecided is None:
            undecided = _unclear(metric, quality, floor, elsewhere)
    if provisional and record.candidate.lossy:
        reason = "generated inputs cannot judge what a lossy candidate loses; give recorded requests"
        return Gate("settled", "quality", "undecided", reason)
    return undecided


def _unclear(metric: str, quality: Quality | None, floor: Floor, elsewhere: str) -> Gate:
    if quality is None:
        return Gate("open", "quality", "undecided", elsewhere or f"{metric} was not measured")
    worst, allowed = worst_loss(quality), allowed_loss(floor, quality.base)
    reason = f"the loss of {metric} may be as large as {worst:.2g}; the floor allows {allowed:.2g}"
    return Gate("settled", "quality", "undecided", reason)


def _loss(quality: Quality, allowed: float) -> str:
    if not math.isfinite(quality.value):
        return f"{quality.metric} cannot be computed: the scores are not finite numbers"
    moved = "falls" if quality.delta < 0 else "rises"
    return f"{quality.metric} {moved} by {abs(quality.delta):.2g}, the floor allows {allowed:.2g}"


def often_over_budget(evidence: Evidence) -> bool:
    """Whether it used more CPU than allowed in more than a quarter of its blocks."""
    return 4 * evidence.blocks_over_budget > evidence.blocks


def _latency(evidence: Evidence) -> Gate | None:
    if evidence.backwards:
        return Gate("failed", "serve", "failed", "it claims answers before their requests: its stamps run backwards")
    if evidence.left_cpus:
        return Gate("failed", "serve", OVER_CPUS, "it left the CPUs it was given")
    if evidence.sla is not None and evidence.sla.outcome == "fail":
        return Gate("failed", "serve", "sla-missed", evidence.sla.reason)
    if often_over_budget(evidence) and evidence.blocks_over_budget >= _FEWEST_OVER_BUDGET:
        reason = f"it used {evidence.over_budget} in {evidence.blocks_over_budget} of {evidence.blocks} blocks"
        return Gate("failed", "serve", OVER_CPUS, reason)
    return None


def _memory(evidence: Evidence, scenario: Scenario) -> Gate | None:
    """By the peak that its blocks saw: what is there for a moment only, the warden may miss."""
    peak, limit = evidence.peak_memory_bytes, scenario.resources.memory_bytes
    if peak is None or limit is None or peak <= limit:
        return None
    reason = f"it took {math.ceil(peak / MIB):,} MiB at its peak, of {limit / MIB:,.0f} MiB that it was given"
    return Gate("failed", "serve", "out-of-memory", reason)


def _measured(record: CandidateRecord, scenario: Scenario) -> Gate | None:
    if record.blocks:
        return None
    stage = record.ledger[-1].stage if record.ledger else "probe"
    return Gate("open", stage, "not-reached", "it was not measured", _all_rounds_s(scenario))


def _unseen(evidence: Evidence, scenario: Scenario) -> Gate | None:
    reason = MISSING.get(scenario.objective)
    if reason is None or evidence.score or not evidence.blocks:
        return None
    return Gate("settled", "serve", "undecided", reason)


def _unpriced(evidence: Evidence, scenario: Scenario) -> Gate | None:
    if scenario.objective != "cost" or has_cost(evidence.cpus, scenario):
        return None
    name = evidence.record.candidate.backend.partition(APART)[2]
    reason = f"what its server costs is not known; say how many cpus it has in candidates.endpoints.{name}"
    return Gate("settled", "serve", "undecided", reason)


def _undecided_latency(evidence: Evidence, scenario: Scenario) -> Gate | None:
    sla = evidence.sla
    if scenario.traffic.asks_capacity and (sla is None or evidence.bracket.failed_qps is None):
        what = "holds" if sla is None else "is missed"
        reason = f"no rate was found yet at which the SLA {what}"
        return Gate("open", "capacity", "undecided", reason, _all_rounds_s(scenario))
    if sla is None or sla.outcome != "undecided":
        return None
    more_s = 0.0
    if sla.needed is not None and sla.effective > 0.0 and evidence.requests:
        more_s = max(0.0, sla.needed / sla.effective - 1.0) * evidence.wall_s
    return Gate("open", "serve", "undecided", sla.reason, more_s)


def _rounds(evidence: Evidence, scenario: Scenario) -> Gate | None:
    complete = len(evidence.round_scores)
    if complete >= FEWEST_ROUNDS:
        return None
    by_round = evidence.wall_s / (evidence.rounds + 1) if evidence.wall_s else scenario.traffic.duration_s
    if evidence.rounds >= FEWEST_ROUNDS:
        reason = "too few answers, or no rate within the SLA by its service times, to say what it can carry"
        if len(evidence.round_costs) >= FEWEST_ROUNDS:
            reason = f"its {WORDS[scenario.objective].noun} could be told in {complete} of {evidence.rounds} rounds"
        return Gate("open", "serve", "undecided", reason, by_round)
    reason = f"measured in {complete} of the {FEWEST_ROUNDS} rounds that a comparison takes"
    return Gate("open", "serve", "undecided", reason, (FEWEST_ROUNDS - complete) * by_round)
