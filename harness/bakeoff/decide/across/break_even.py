"""Where the cheaper host changes: at which price, at which traffic of the whole shop, at which batch size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from bakeoff.decide.across.sides import Side
from bakeoff.decide.across.unpaired import dearer
from bakeoff.decide.compare import Interval


@dataclass(frozen=True, slots=True)
class BreakEven:
    """At what price a host's best costs as much as a rival's: both costs were measured, the price alone is asked.

    `worth` is how many of the rival's hours (`rival_per`) one of the host's (`per`) may cost; `price` is that in the
    rival's `currency`, None where it has no price; `now` is what it costs, where that is the same currency. `fleet_qps`
    are the requests per second of the whole shop from which on the one that is cheaper by the million stays so although
    replicas come whole; None where prices are missing.
    """

    host: str
    candidate: str
    rival: str
    rival_candidate: str
    per: str
    rival_per: str
    worth: float
    worth_low: float | None
    worth_high: float | None
    price: float | None
    price_low: float | None
    price_high: float | None
    currency: str | None
    now: float | None
    fleet_qps: float | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Between two scenarios that differ in batch sizes the cheaper host changes.

    `items` is where their ratio of cost is 1, interpolated on a log scale and not measured; `sure` where they were told
    apart on both sides.
    """

    below: str
    above: str
    items: float
    scenarios: tuple[str, str]
    measured_items: tuple[float, float]
    sure: bool


@dataclass(frozen=True, slots=True)
class Replica:
    """What one replica carries once its headroom is kept, in requests per second, what it costs in an hour, and how
    many spare ones there are."""

    carries_qps: float
    hourly: float
    spare: int = 0


def break_even(one: Side, other: Side, error: float) -> BreakEven | None:
    """The price of the host with GPUs, where one of two has them; else of the dearer. None where one has no best."""
    host, rival = (other, one) if _asked_of_the_other(one, other) else (one, other)
    mine, theirs = host.best, rival.best
    if mine is None or theirs is None:
        return None
    worth = rival.hours(theirs) / host.hours(mine)
    apart = dearer(mine, theirs, error)
    ends = None if apart is None else _ends(worth, apart)
    price = rival.price
    priced = [None if price is None else each * price.amount for each in (worth, *(ends or ()))]
    comparable = price is not None and host.price is not None and price.currency == host.price.currency
    return BreakEven(
        host=host.host.name,
        candidate=mine.record.id,
        rival=rival.host.name,
        rival_candidate=theirs.record.id,
        per=host.per,
        rival_per=rival.per,
        worth=worth,
        worth_low=ends[0] if ends else None,
        worth_high=ends[1] if ends else None,
        price=priced[0],
        price_low=priced[1] if ends else None,
        price_high=priced[2] if ends else None,
        currency=price.currency if price else None,
        now=host.price.amount if comparable and host.price else None,
        fleet_qps=_fleet_qps(host, rival) if comparable else None,
    )


def _asked_of_the_other(one: Side, other: Side) -> bool:
    if bool(one.gpus) != bool(other.gpus):
        return bool(other.gpus)
    mine, theirs = one.best, other.best
    return mine is not None and theirs is not None and (mine.mean_cost or 0.0) < (theirs.mean_cost or 0.0)


def _ends(worth: float, apart: Interval) -> tuple[float, float]:
    """The ends of what an hour is worth, by those of the ratio of costs: the dearer, the less."""
    level = 1.0 + apart.value
    return worth * level / (1.0 + apart.high), worth * level / (1.0 + apart.low)


def _fleet_qps(one: Side, other: Side) -> float | None:
    replicas = [_replica(one), _replica(other)]
    known = sorted((each for each in replicas if each), key=lambda each: each.hourly / each.carries_qps)
    return always_from(*known) if len(known) == 2 else None


def _replica(side: Side) -> Replica | None:
    best = side.best
    if best is None or not side.court.scenario.traffic.open_loop:
        return None
    capacity, hourly, fleet = side.judged(best.record.id).capacity_qps, side.hourly(best), side.court.scenario.fleet
    return Replica(capacity / (1.0 + fleet.headroom), hourly, fleet.spare) if capacity and hourly else None


def always_from(bulk: Replica, other: Replica) -> float | None:
    """The shop's requests per second above which `bulk`, the cheaper by the request, is the cheaper however replicas
    are rounded up; 0 where it always is, None where it is not cheaper by the request.

    The last of its replicas is the emptiest just after it was added; beyond some number that does not matter any more.
    """
    gained = other.hourly * bulk.carries_qps / other.carries_qps - bulk.hourly
    if gained <= 0.0:
        return None
    behind = bulk.hourly * (1 + bulk.spare) - other.hourly * other.spare
    for full in range(max(0, math.ceil(behind / gained)), -1, -1):
        affordable = math.floor(bulk.hourly * (full + 1 + bulk.spare) / other.hourly) - other.spare
        level_qps = affordable * other.carries_qps
        if level_qps > full * bulk.carries_qps:
            return min(level_qps, (full + 1) * bulk.carries_qps)
    return 0.0


def crossings(scenarios: Sequence[Sequence[Side]], error: float) -> tuple[Crossing, ...]:
    """Where the cheaper of two hosts changes over scenarios that are one question at several batch sizes.

    `scenarios` holds the sides of each; all must be comparable in cost. Each pair of hosts is asked, from each batch
    size to the next.
    """
    ordered = sorted(scenarios, key=lambda sides: sides[0].court.scenario.traffic.mean_items)
    names = list(dict.fromkeys(side.host.name for sides in ordered for side in sides))
    found = []
    for one, other in combinations(names, 2):
        points = [point for sides in ordered if (point := _point(sides, one, other, error))]
        found += [_crossing(one, other, *pair) for pair in pairwise(points) if _turns(*pair)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Point:
    scenario: str
    items: float
    apart: Interval

    @property
    def log_ratio(self) -> float:
        return math.log1p(self.apart.value)

    @property
    def sure(self) -> bool:
        return self.apart.low > 0.0 or self.apart.high < 0.0


def _point(sides: Sequence[Side], one: str, other: str, error: float) -> _Point | None:
    """How much dearer one host's best is than the other's at one batch size."""
    by_host = {side.host.name: side for side in sides}
    bests = [by_host[name].best if name in by_host else None for name in (one, other)]
    if bests[0] is None or bests[1] is None:
        return None
    apart, asked = dearer(bests[0], bests[1], error), sides[0].court
    return None if apart is None else _Point(asked.record.name, asked.scenario.traffic.mean_items, apart)


def _turns(before: _Point, after: _Point) -> bool:
    return before.items < after.items and before.log_ratio * after.log_ratio < 0.0


def _crossing(one: str, other: str, before: _Point, after: _Point) -> Crossing:
    below, above = (one, other) if before.log_ratio < 0.0 else (other, one)
    share = before.log_ratio / (before.log_ratio - after.log_ratio)
    items = math.exp(math.log(before.items) + share * math.log(after.items / before.items))
    scenarios, measured = (before.scenario, after.scenario), (before.items, after.items)
    return Crossing(below, above, items, scenarios, measured, before.sure and after.sure)
