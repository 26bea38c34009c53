"""The plan of a shop's fleet: how many replicas its peak, a loss and a day take, how they do, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bakeoff.backends import Setting
from bakeoff.decide.cost import hourly, replicas, yearly
from bakeoff.decide.evidence import at_once, cpus_held, cpus_of, gather, has_cost, pattern_of
from bakeoff.decide.fleet.balancing import Balancing
from bakeoff.decide.fleet.simulation import Fleet, Outage, Served
from bakeoff.decide.fleet.wish import Wish
from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.decide.replica import read
from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario, day, restore
from bakeoff.store.plain import plain
from bakeoff.store.record import OK, SCREEN_ROUND, CandidateRecord, ScenarioRecord

EFFORT_OF_AN_HOUR = 0.25
"""Each hour of the day is simulated with this share of the peak's requests."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The fleet of one candidate for one scenario.

    `formula` is the peak with `headroom` over the `capacity_qps` of a replica, and `spare` ones; `fewest` is the
    smallest fleet that holds the SLA in the simulation, without either. `peak` has the planned number of replicas,
    `without` those that are left when some are lost, and `hours` what the formula says for each hour of the day. A
    replica costs `replica_hour` in `unit`s (None: nobody knows what it holds). `doubts` say why it may not do to serve
    with this candidate at all.
    """

    scenario: str
    candidate: str
    fleet_qps: float
    balancing: Balancing
    percentile: float
    limit_ms: float
    capacity_qps: float
    capacity_measured: bool
    headroom: float
    spare: int
    formula: int
    fewest: Served | None
    tried: tuple[Served, ...]
    peak: Served
    lost: int
    without: Served | None
    outage: Outage | None
    assumed_day: bool
    hours: tuple[Served, ...]
    unit: str
    replica_hour: float | None
    doubts: tuple[str, ...] = ()

    @property
    def hour_cost(self) -> float | None:
        """Of the planned replicas, in an hour."""
        return None if self.replica_hour is None else self.peak.replicas * self.replica_hour

    @property
    def day_cost(self) -> float | None:
        """Of the planned replicas, held all day."""
        return None if self.hour_cost is None else self.hour_cost * len(self.hours)

    @property
    def scaled_day_cost(self) -> float | None:
        """Of a day whose replicas follow the hours."""
        if self.replica_hour is None:
            return None
        return self.replica_hour * sum(hour.replicas for hour in self.hours)

    @property
    def year_cost(self) -> float | None:
        """Of the planned replicas, held all year."""
        return None if self.hour_cost is None else yearly(self.hour_cost)

    @property
    def worst_hour(self) -> int:
        """The hour of the day with the highest percentile, one that is overloaded first."""
        tails = [float("inf") if hour.p99_ms is None else hour.p99_ms for hour in self.hours]
        return tails.index(max(tails))

    def to_json(self) -> dict[str, Any]:
        """As strict JSON holds it; what is not known is null."""
        cost = {
            "unit": self.unit,
            "replica_hour": self.replica_hour,
            "hour": self.hour_cost,
            "day": self.day_cost,
            "scaled_day": self.scaled_day_cost,
            "year": self.year_cost,
        }
        found: dict[str, Any] = plain(asdict(self) | {"worst_hour": self.worst_hour, "cost": cost})
        return found


def plan(record: ScenarioRecord, verdict: Verdict, wish: Wish, effort: float = 1.0) -> Plan:
    """Plan the fleet of the verdict's choice, or of another candidate, simulating a share of the usual requests. Raises
    UserError where that cannot be done."""
    scenario = restore(dict(record.definition))
    judged = _judged(verdict, wish.candidate)
    measured = next(one for one in record.candidates if one.id == judged.candidate)
    qps = wish.fleet_qps or scenario.traffic.fleet_qps
    if qps is None:
        raise UserError(f"--fleet-qps: missing, and {record.name} says no traffic.fleet_qps; give it, as in 12k")
    capacity_qps = judged.capacity_qps
    if scenario.sla is None or not scenario.traffic.open_loop or capacity_qps is None:
        why = "no rate at which it holds an SLA is known"
        raise UserError(f"{judged.candidate} cannot be planned for {record.name}: {why}")
    held = capacity_qps / (gather(measured, scenario, 1).replayed_qps or capacity_qps)
    fleet = replace(_fleet(measured, scenario, wish.balancing), effort=effort, held=held)
    formula = _by_formula(qps, capacity_qps, scenario)
    count = wish.replicas or formula
    if wish.lost > count:
        raise UserError(f"--lost {wish.lost}: must be at most the {count} replicas of the plan")
    fewest, tried = fleet.fewest(qps, replicas(qps, capacity_qps, 0.0, 0))
    known = {served.replicas: served for served in tried}
    peak = known.get(count) or fleet.at(count, qps)
    left = count - wish.lost
    cpus = cpus_of(measured, scenario, cpus_held(record, scenario))
    quick = replace(fleet, effort=effort * EFFORT_OF_AN_HOUR)
    return Plan(
        scenario=record.name,
        candidate=judged.candidate,
        fleet_qps=qps,
        balancing=wish.balancing,
        percentile=scenario.sla.percentile,
        limit_ms=scenario.sla.limit_ms,
        capacity_qps=capacity_qps,
        capacity_measured=judged.capacity_measured,
        headroom=scenario.fleet.headroom,
        spare=scenario.fleet.spare,
        formula=formula,
        fewest=fewest,
        tried=tried,
        peak=peak,
        lost=wish.lost,
        without=fleet.at(left, qps) if wish.lost and left > 0 else None,
        outage=fleet.outage(peak, wish.lost, judged.load_s) if wish.lost and judged.load_s else None,
        assumed_day=wish.factors == day.USUAL,
        hours=tuple(
            quick.at(_by_formula(qps * factor, capacity_qps, scenario), qps * factor) for factor in wish.factors
        ),
        unit=_unit(scenario),
        replica_hour=_replica_hour(cpus, scenario),
        doubts=_doubts(verdict, judged),
    )


def _judged(verdict: Verdict, asked: str | None) -> Judgement:
    """The candidate to plan with; raises UserError where there is none."""
    by_id: Mapping[str, Judgement] = {one.candidate: one for one in verdict.candidates}
    if asked is not None and asked not in by_id:
        raise UserError(f"--candidate {asked}: not in {verdict.scenario}; `bakeoff verdict` lists its candidates")
    judged = verdict.choice if asked is None else by_id[asked]
    if judged is None:
        raise UserError(f"{verdict.scenario}: nothing was chosen ({verdict.verdict}); name one by --candidate")
    return judged


def _doubts(verdict: Verdict, judged: Judgement) -> tuple[str, ...]:
    failed = f"{judged.candidate} is {judged.outcome} by the verdict: {judged.reason}"
    made_up = "the inputs were generated: they decide speed, never quality"
    return (failed,) * (judged.outcome != OK) + (made_up,) * verdict.provisional


def _fleet(measured: CandidateRecord, scenario: Scenario, balancing: Balancing) -> Fleet:
    """Replicas as the rounds' blocks have them, the screen's where there was no round."""
    setting: Setting = measured.candidate.setting
    if balancing == "least-loaded" and setting.batching is not None:
        raise UserError(f"--balancing least-loaded: not simulated behind a batcher, which {measured.id} has")
    blocks = _blocks(measured)
    if scenario.sla is None:
        raise ValueError("open-loop traffic has an sla")
    replica = read(blocks, setting, at_once(measured, scenario))
    return Fleet(replica, pattern_of(blocks, scenario), balancing, scenario.sla, scenario.seed)


def _blocks(measured: CandidateRecord) -> list[Block]:
    rounds = [entry for entry in measured.blocks if entry.round > SCREEN_ROUND]
    screen = [entry for entry in measured.blocks if entry.round == SCREEN_ROUND]
    return [entry.block for entry in rounds or screen]


def _by_formula(qps: float, capacity_qps: float, scenario: Scenario) -> int:
    return replicas(qps, capacity_qps, scenario.fleet.headroom, scenario.fleet.spare)


def _unit(scenario: Scenario) -> str:
    if scenario.price is not None:
        return scenario.price.currency
    return "GPU-hours" if scenario.resources.gpus else "core-hours"


def _replica_hour(held: int | None, scenario: Scenario) -> float | None:
    """What a replica costs in an hour; without a price, the cores or GPUs that it holds."""
    if not has_cost(held, scenario):
        return None
    gpus = scenario.resources.gpus
    if scenario.price is None:
        return float(gpus or held or 1)
    return hourly(held or 1, scenario.price, gpus)
