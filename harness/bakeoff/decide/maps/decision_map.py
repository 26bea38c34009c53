"""The winner over fleet QPS, batch size and SLA, from fitted service times: where the answer holds and where it turns.

A point asks: which candidate serves so many requests per second, each of so many items, within that limit, for the
least? It pays whole replicas, so that little traffic makes ties. Beyond what was measured it says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bakeoff.decide.cost import cost_per_million, cost_unit, replicas
from bakeoff.decide.court import Court
from bakeoff.decide.evidence import Evidence, has_cost
from bakeoff.decide.gates import but_for_the_race
from bakeoff.decide.maps.curves import Curve, fit, interleaved
from bakeoff.decide.what_if.settling import NONE, TIE, Settled, settle
from bakeoff.decide.wording import listed, milliseconds, percent
from bakeoff.scenario import Scenario

SLA_TIMES = (0.5, 1.0, 2.0, 4.0)
"""The limits of the map over the scenario's own."""
MOST_SIZES = 6
_DOUBLINGS = range(-8, 3)
"""The fleet's rates of the map over the scenario's own, as powers of two."""
_REPLICAS = 16
"""Where the scenario has no fleet, the map is drawn around one of so many replicas."""
_PLAYED = 1.02
"""A load within so much of the busiest block's counts as played."""


@dataclass(frozen=True, slots=True)
class Point:
    """Who wins at one place of the map.

    `winner` is a candidate, "tie" between `tied`, or "none" holds the SLA. `cost` is the cheapest's, in the map's unit,
    on so many `replicas`; `margin` is the fraction by which it is cheaper than the `runner_up`, on average.
    """

    qps: float
    batch_size: int
    sla_ms: float
    winner: str
    cost: float | None
    runner_up: str | None
    margin: float | None
    extrapolated: bool
    reason: str
    replicas: int | None
    tied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecisionMap:
    """The map of one scenario, by its `name` in the run. `measured` are the sizes and rates that one replica was asked
    for; `left_out` says who is not on the map and why."""

    name: str
    scenario: Scenario
    points: tuple[Point, ...]
    curves: tuple[Curve, ...]
    measured: tuple[tuple[int, float], ...]
    left_out: Mapping[str, str]

    @property
    def winners(self) -> tuple[str, ...]:
        """The candidates that win somewhere, those with the most points first."""
        wins = Counter(point.winner for point in self.points if point.winner not in (TIE, NONE))
        return tuple(sorted(wins, key=lambda name: (-wins[name], name)))

    @property
    def unit(self) -> str:
        """What the costs count."""
        return cost_unit(self.scenario.price, self.scenario.resources.gpus)


def has_map(scenario: Scenario) -> bool:
    """Whether there is a rate and a limit to vary, and what is to be least is the cost."""
    return scenario.sla is not None and scenario.traffic.open_loop and scenario.objective == "cost"


def decision_map(courts: Sequence[Court], cpu_flags: Collection[str] | None = None) -> DecisionMap:
    """The map of the first court's scenario, by the blocks of all of them: runs of one workload at several sizes.

    Whom the race dropped for its cost may win elsewhere, by its screening block alone, and who missed the SLA may hold
    a longer one. Whose quality does not pass, on a host with these CPU flags, or is not known, is left out. Raises
    ValueError for a scenario without a rate and a limit, which has no map.
    """
    scenario = courts[0].scenario
    if scenario.sla is None or not has_map(scenario):
        kind = f"{scenario.traffic.kind} traffic has no rate and limit to vary"
        raise ValueError(f"{courts[0].record.name} has no map: {kind}")
    curves, left_out = _curves(courts, cpu_flags)
    rates, points = _rates(curves, scenario), list[Point]()
    for limit_ms in [scenario.sla.limit_ms * times for times in SLA_TIMES]:
        for size in _sizes(curves):
            capacities = {curve.candidate: curve.capacities(size, limit_ms) for curve in curves}
            able = {name: found for name, found in capacities.items() if found}
            place = _Place(scenario, curves, size, limit_ms, able)
            points += [place.point(qps) for qps in rates]
    asked = {(size, qps) for curve in curves for size in curve.asked for qps in (*curve.rates[:1], *curve.rates[-1:])}
    return DecisionMap(courts[0].record.name, scenario, tuple(points), tuple(curves), tuple(sorted(asked)), left_out)


def _curves(courts: Sequence[Court], cpu_flags: Collection[str] | None) -> tuple[list[Curve], dict[str, str]]:
    court = courts[0]
    curves, left_out = list[Curve](), dict[str, str]()
    for name, one in court.evidence.items():
        sources = [each.evidence[name] for each in courts if name in each.evidence and each.evidence[name].blocks]
        why = _unfit(one, court, cpu_flags)
        why = why or ("" if len(sources) == len(courts) else "not measured in every run")
        curve = None if why else fit(sources, court.scenario)
        if curve is None:
            left_out[name] = why or "too few answers"
        else:
            curves.append(curve)
    return curves, left_out


def _unfit(one: Evidence, court: Court, cpu_flags: Collection[str] | None) -> str:
    """Why a candidate has no place on a map, in a word or two; empty where it has one."""
    scenario, found = court.scenario, court.gates[one.record.id]
    if not one.blocks or not has_cost(one.cpus, scenario):
        return found.outcome
    stands = but_for_the_race(one, scenario, court.provisional, cpu_flags)
    if stands.status not in ("ok", "open") or stands.stage == "quality":
        return stands.outcome
    answers = one.sla is None or scenario.sla is None or one.sla.unanswered <= scenario.sla.error_rate
    return "" if answers else found.outcome


def _sizes(curves: Sequence[Curve]) -> list[int]:
    """Up to MOST_SIZES of the sizes asked for, spread evenly on a log scale, and some beyond both ends."""
    asked = sorted({size for curve in curves for size in curve.asked})
    if not asked:
        return []
    low, high = asked[0], asked[-1]
    steps = [low * (high / low) ** (step / (MOST_SIZES - 1)) for step in range(MOST_SIZES)]
    nearest = {min(asked, key=lambda size: abs(math.log(size / step))) for step in steps}
    return sorted(nearest | {max(1, low // 4), max(1, low // 2), 2 * high, 4 * high})


def _rates(curves: Sequence[Curve], scenario: Scenario) -> list[float]:
    fleet_qps = scenario.traffic.fleet_qps
    if fleet_qps is None:
        fleet_qps = _REPLICAS * max((qps for curve in curves for qps in curve.rates), default=1.0)
    return [fleet_qps * 2.0**step for step in _DOUBLINGS]


@dataclass(frozen=True, slots=True)
class _Place:
    """One batch size and limit, and what each of those that hold it can carry, by round."""

    scenario: Scenario
    curves: Sequence[Curve]
    size: int
    limit_ms: float
    able: Mapping[str, Mapping[int, float]]

    def point(self, qps: float) -> Point:
        """Who wins at a fleet's rate."""
        costs = {
            name: {number: self._cost(name, qps, self._count(qps, capacity)) for number, capacity in by_round.items()}
            for name, by_round in self.able.items()
        }
        found = settle(costs, {curve.candidate: curve.misfit for curve in self.curves})
        counts = {name: self._count(qps, _middle(self.able[name])) for name in found.order}
        beyond, best = self._beyond(found, qps, counts), next(iter(found.order), None)
        return Point(
            qps=qps,
            batch_size=self.size,
            sla_ms=self.limit_ms,
            winner=found.winner,
            cost=self._cost(best, qps, counts[best]) if best else None,
            runner_up=found.runner_up,
            margin=found.margin,
            extrapolated=bool(beyond),
            reason="; ".join(part for part in (self._why(found, counts), beyond) if part),
            replicas=counts[best] if best else None,
            tied=found.equals if len(found.equals) > 1 else (),
        )

    def _count(self, qps: float, capacity_qps: float) -> int:
        return replicas(qps, capacity_qps, self.scenario.fleet.headroom, self.scenario.fleet.spare)

    def _cost(self, name: str, qps: float, count: int) -> float:
        curve = next(curve for curve in self.curves if curve.candidate == name)
        items_per_s, gpus = qps * self.size / count, self.scenario.resources.gpus
        return cost_per_million(items_per_s, curve.cpus or 1, self.scenario.price, gpus)

    def _why(self, found: Settled, counts: Mapping[str, int]) -> str:
        if not found.order:
            quickest = min(self.curves, key=lambda curve: curve.shortest_ms(self.size))
            alone_ms = milliseconds(quickest.shortest_ms(self.size))
            limit_ms = milliseconds(self.limit_ms)
            return f"none holds {limit_ms} ms: the quickest, {quickest.candidate}, takes {alone_ms} ms alone"
        same = {counts[name] for name in found.equals}
        if len(found.equals) > 1 and len(same) == 1:
            return f"{listed(list(found.equals))}: the same number of replicas ({same.pop()})"
        return found.why

    def _beyond(self, found: Settled, qps: float, counts: Mapping[str, int]) -> str:
        """What of the answer was not measured; empty where all was."""
        compared = [curve for curve in self.curves if curve.candidate in found.order[:2]] or self.curves
        if not all(curve.measured(self.size) for curve in compared):
            low, high = max(curve.sizes[0] for curve in compared), min(curve.sizes[-1] for curve in compared)
            return f"calls of {f'{low} to {high}' if low < high else low} items were measured"
        for curve in compared if found.order else ():
            working = counts[curve.candidate] - self.scenario.fleet.spare
            asked_qps = qps * (1.0 + self.scenario.fleet.headroom) / working
            if curve.share(self.size, asked_qps) > curve.busiest * _PLAYED:
                return f"a replica of {curve.candidate} was never played more than {percent(curve.busiest)} busy"
        return ""


def _middle(by_round: Mapping[int, float]) -> float:
    """The geometric mean over the rounds."""
    known = interleaved(by_round).values()
    return math.exp(math.fsum(map(math.log, known)) / len(known))
