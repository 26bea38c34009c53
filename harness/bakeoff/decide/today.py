"""The choice beside what serves today: what it saves in a year, how much sooner it answers, and whether what was
measured is what production sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bakeoff.decide import stamps
from bakeoff.decide.choice import Choice
from bakeoff.decide.compare import Interval
from bakeoff.decide.cost import hourly, replicas, yearly
from bakeoff.decide.court import Court
from bakeoff.decide.judgement import Judgement, Today
from bakeoff.decide.sla import tail
from bakeoff.decide.wording import milliseconds
from bakeoff.store.record import CAPACITY_ROUND

FAR_APART = 1.5
"""From so many times as much or as little on, a p99 that was measured is another than production's: a machine's drift
and a day's load explain less; other traffic, other hardware, or a path that is timed there and not here, explain it."""
_P99 = 99.0

Ends = tuple[float | None, float | None, float | None]
"""A value and its interval."""
NOTHING: Ends = (None, None, None)


def today(court: Court, choice: Choice | None, judged: Mapping[str, Judgement]) -> Today | None:
    """None where nobody said what serves today, or where that is no candidate of this run."""
    current = court.scenario.incumbent
    one = judged.get(court.incumbent or "")
    if current is None or (current.candidate is not None and one is None):
        return None
    chosen = judged[choice.candidate] if choice else None
    gain = choice.gain if choice else None
    apart = chosen if choice and choice.answer and chosen is not one else None
    measured = one or chosen
    return Today(
        current.candidate or current.name or "",
        *(NOTHING if gain is None else (gain.value, gain.low, gain.high)),
        *(_yearly(court, one, apart, gain) if apart else NOTHING),
        *(_sooner(one, apart) if apart and one else NOTHING),
        p99_ms=None if measured is None else _p99_ms(court, measured),
        production_p99_ms=current.p99_ms,
    )


def beside_production(court: Court, current: Today | None) -> Sequence[str]:
    """Production's p99 and the one measured here, in a sentence; a warning where they are far apart."""
    if current is None or current.p99_ms is None or current.production_p99_ms is None:
        return ()
    here, there = (f"{milliseconds(each)} ms" for each in (current.p99_ms, current.production_p99_ms))
    if court.incumbent is None:
        return (f"The p99 of {current.name} is {there} in production, that of the choice {here} here.",)
    both = f"What serves today, {current.name}, has a p99 of {here} here and of {there} in production"
    times = max(current.p99_ms / current.production_p99_ms, current.production_p99_ms / current.p99_ms)
    if times < FAR_APART:
        return (f"{both}.",)
    return (f"{both}, {times:.2g} times apart: what is measured here may not be what production sees.",)


def _yearly(court: Court, one: Judgement | None, chosen: Judgement, gain: Interval | None) -> Ends:
    """By whole replicas. The interval is the gain's, where that is one of cost: what today's replicas carry is taken as
    known, and the choice's capacity as so much more as the gain says."""
    current = _yearly_today(court) if one is None else one.yearly_cost
    cost, count, qps = chosen.yearly_cost, chosen.replicas, chosen.capacity_qps
    if current is None or cost is None or not count or qps is None:
        return NOTHING
    if gain is None or court.scenario.objective != "cost" or gain.high >= 1.0:
        return current - cost, None, None
    farther = ((1.0 - gain.value) / (1.0 - end) for end in (gain.low, gain.high))
    low, high = (current - cost / count * _replicas(court, qps * times) for times in farther)
    return current - cost, low, high


def _yearly_today(court: Court) -> float | None:
    """What production's replicas cost, by the same rule as all others."""
    current, price = court.scenario.incumbent, court.scenario.price
    if current is None or price is None or not current.qps or not current.cpus or not court.scenario.traffic.fleet_qps:
        return None
    return yearly(_replicas(court, current.qps) * hourly(current.cpus, price, current.gpus or 0))


def _replicas(court: Court, qps: float) -> int:
    fleet = court.scenario.fleet
    return replicas(court.scenario.traffic.fleet_qps or 0.0, qps, fleet.headroom, fleet.spare)


def _sooner(one: Judgement, chosen: Judgement) -> Ends:
    """The difference of two percentiles from their own intervals (MOVER: G. Y. Zou and A. Donner, Statistics in
    Medicine 27, 2008). It takes them as independent; what a round does to both alike makes it wider than need be."""
    if one.p99_ms is None or chosen.p99_ms is None:
        return NOTHING
    value = one.p99_ms - chosen.p99_ms
    if None in (one.p99_low_ms, one.p99_high_ms, chosen.p99_low_ms, chosen.p99_high_ms):
        return value, None, None
    below = math.hypot(one.p99_ms - (one.p99_low_ms or 0.0), (chosen.p99_high_ms or 0.0) - chosen.p99_ms)
    above = math.hypot((one.p99_high_ms or 0.0) - one.p99_ms, chosen.p99_ms - (chosen.p99_low_ms or 0.0))
    return value, value - below, value + above


def _p99_ms(court: Court, one: Judgement) -> float | None:
    """Production tells the 99th percentile, whichever the SLA limits; where the run asks how much it can take, it has
    none at production's load."""
    if court.scenario.traffic.asks_capacity:
        return None
    if one.percentile == _P99:
        return one.p99_ms
    blocks = [entry.block for entry in court.evidence[one.candidate].record.blocks if entry.round != CAPACITY_ROUND]
    return tail(stamps.asked(blocks, court.scenario.traffic.open_loop), _P99).value
