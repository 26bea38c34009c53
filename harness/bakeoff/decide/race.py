"""Who stays in the race: by what is recorded so far, which candidates the next round's time is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bakeoff.decide.compare import ERROR, Field
from bakeoff.decide.evidence import Evidence, cpus_held
from bakeoff.decide.gates import FEWEST_ROUNDS, Gate, gate, often_over_budget
from bakeoff.decide.holding import gather_all
from bakeoff.decide.wording import percent
from bakeoff.scenario import Scenario, restore
from bakeoff.store.record import ScenarioRecord

SCREEN_MARGIN = 0.3
"""After one screening block each, a candidate this much dearer than the leader is dropped, if its CPU time is higher by
half of that: rounds differ by a tenth of it."""

MOST_CONTENDERS = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """Ids that stay in the rounds, the cheapest first, and why the newly dropped ones go.

    Ids in neither were dropped before, were not measured yet, or wait until a contender's quality is known.
    """

    contenders: tuple[str, ...]
    eliminated: Mapping[str, str] = field(default_factory=dict)


def contenders(record: ScenarioRecord, limit: int = MOST_CONTENDERS) -> Standing:
    """At most `limit` candidates, and the incumbent until it has its figures.

    Dropped are those that missed a gate, that are `SCREEN_MARGIN` dearer than the leader by the screen, that are dearer
    by the rounds (the chance of error spent over the looks), and those beyond the limit. Generated inputs let no lossy
    candidate win, so none stays.
    """
    scenario = restore(dict(record.definition))
    provisional = is_provisional(record)
    cpus = cpus_held(record, scenario)
    running = [one for one in record.candidates if one.blocks and one.failure is None]
    evidence = gather_all(running, scenario, cpus)
    gates = {one.record.id: gate(one, scenario, provisional) for one in evidence}
    incumbent = scenario.incumbent.candidate if scenario.incumbent else None
    eliminated = {one: found.reason for one, found in gates.items() if _hopeless(found)}
    alive = sorted((one for one in evidence if one.record.id not in eliminated), key=_cheapness)
    leader = next((one for one in alive if _judged([one], gates, scenario) and _promising(one, scenario)), None)
    if leader is not None:
        field_ = _field(alive)
        for one in alive:
            protected = one.record.id == incumbent and one.rounds < FEWEST_ROUNDS
            reason = None if protected or one is leader else _too_dear(one, leader, field_)
            if reason:
                eliminated[one.record.id] = reason
    rest = [one for one in alive if one.record.id not in eliminated]
    kept = rest[:limit] + [one for one in rest[limit:] if one.record.id == incumbent]
    if _judged(kept, gates, scenario):
        for one in rest:
            if one not in kept:
                eliminated[one.record.id] = _beyond(one, rest[0], limit)
    return Standing(tuple(one.record.id for one in kept), eliminated)


def is_provisional(record: ScenarioRecord) -> bool:
    """Whether the inputs are made up: they may decide speed, never quality."""
    return record.workload.get("data") == "generated"


def _hopeless(found: Gate) -> bool:
    return found.status in ("failed", "settled")


def _cheapness(evidence: Evidence) -> tuple[float, str]:
    cost = evidence.mean_cost
    return (math.inf if cost is None else cost, evidence.record.id)


def _promising(evidence: Evidence, scenario: Scenario) -> bool:
    """Whether others may be dropped in favour of this one: so far it is within the SLA, with room at the asked rate,
    and within the CPU budget."""
    if evidence.mean_cost is None or often_over_budget(evidence):
        return False
    if scenario.sla is None or scenario.traffic.asks_capacity:
        return True
    if evidence.sla is None:
        return False
    carries = min((evidence.capacity_qps or {}).values(), default=0.0)
    enough = evidence.offered_qps is None or carries >= evidence.offered_qps
    return enough and evidence.sla.exceeding <= 1.0 - scenario.sla.percentile / 100.0


def _field(alive: Sequence[Evidence]) -> Field:
    """The rounds' costs, with the error of one look of many: over all looks together it stays within ERROR."""
    costs = {one.record.id: one.round_costs for one in alive if len(one.round_costs) >= 2}
    looks = max((one.rounds for one in alive), default=0)
    bounds = {one.record.id: one.bounds for one in alive}
    return Field(costs, ERROR / max(1, looks * (looks - 1)), bounds)


def _too_dear(one: Evidence, leader: Evidence, field_: Field) -> str | None:
    mine, best = one.record.id, leader.record.id
    if mine in field_.costs and best in field_.costs:
        loss = field_.dearer(mine, best)
        if loss is not None and loss.low > 0.0:
            return f"{percent(loss.value)} dearer than {best} (at least {percent(loss.low)}) after {one.rounds} rounds"
        return None
    ratio = _screen_ratio(one, leader)
    if ratio is None or ratio <= 1.0 + SCREEN_MARGIN or not _takes_more_cpu(one, leader):
        return None
    return f"{percent(ratio - 1.0)} dearer than {best} in the screening block"


def _screen_ratio(one: Evidence, leader: Evidence) -> float | None:
    mine, best = one.screen_cost, leader.screen_cost
    if one.rounds or mine is None or best is None:
        return None
    return mine / best


def _takes_more_cpu(one: Evidence, leader: Evidence) -> bool:
    """Whether the CPU time of a request bears out that it is dearer: a stall in one short block does not show there."""
    mine, best = one.cpu_ms_per_request, leader.cpu_ms_per_request
    return mine is None or best is None or mine > best * (1.0 + SCREEN_MARGIN / 2)


def _judged(kept: Sequence[Evidence], gates: Mapping[str, Gate], scenario: Scenario) -> bool:
    """Whether the quality of all these is known, so that none of them may yet make room for another."""
    return not scenario.quality or all(gates[one.record.id].stage != "quality" for one in kept)


def _beyond(one: Evidence, leader: Evidence, limit: int) -> str:
    ratio = _screen_ratio(one, leader)
    by = "" if ratio is None else f": {percent(ratio - 1.0)} dearer than {leader.record.id} in the screening block"
    return f"not among the {limit} cheapest that may still win{by}"
