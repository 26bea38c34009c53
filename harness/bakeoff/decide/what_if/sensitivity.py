"""What would turn the verdict: the winner as the quality floors, the headroom and what is paid for vary.

All is told by the rounds that the run measured, at the scenario's own traffic and limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bakeoff.decide.cost import cost_per_million, replicas
from bakeoff.decide.court import Court
from bakeoff.decide.features import lacking
from bakeoff.decide.gates import gate
from bakeoff.decide.quality import Quality, allowed_loss, worst_loss
from bakeoff.decide.what_if.settling import NONE, TIE, Costs, Settled, settle
from bakeoff.decide.wording import listed
from bakeoff.scenario import Floor

HEADROOMS = tuple(step / 20 for step in range(21))
CORE_SHARES = HEADROOMS
_STANDING = frozenset({"ok", "open", "eliminated"})
NEXT_TO_NOTHING = 0.01
"""A value below so small a share of the one asked for nobody asks for."""
_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """Between which values of `varied` (`high` infinite: from `low` on) the answer is the same.

    `asked` is the scenario's own value, None where it has none; `winner` is as on the map, and `sure` where it passed
    every other gate. `relative`: the values are fractions.
    """

    varied: str
    low: float
    high: float
    asked: float | None
    winner: str
    tied: tuple[str, ...]
    runner_up: str | None
    margin: float | None
    reason: str
    sure: bool = True
    relative: bool = False

    @property
    def holds_asked(self) -> bool:
        """Whether the scenario's own value lies in it."""
        return self.asked is not None and self.low <= self.asked < self.high

    @property
    def worth_telling(self) -> bool:
        """Whether a person might ask for it: another value than the scenario's own, and none that is next to zero."""
        return not self.holds_asked and (self.asked is None or self.high > NEXT_TO_NOTHING * self.asked)


def sensitivity(court: Court, cpu_flags: Collection[str] | None = None) -> tuple[Stretch, ...]:
    """The stretches of each parameter in turn, for a host with these CPU flags.

    What another host or device may cost is `bakeoff join`'s to say (break_even.py).
    """
    return (*_floors(court, cpu_flags), *_headrooms(court), *_prices(court))


def told(stretches: Iterable[Stretch]) -> list[str]:
    """What would turn the answer, a sentence for each stretch that the scenario's own value is not in."""
    return [_sentence(one) for one in stretches if one.winner != NONE and one.worth_telling]


def _sentence(one: Stretch) -> str:
    would = "would" if one.sure else "might"
    who = f"{listed(list(one.tied))} {would} tie" if one.tied else f"{one.winner} {would} win"
    if one.asked is None:
        bounds = f"between {one.low:.3g} and {one.high:.3g}" if math.isfinite(one.high) else f"from {one.low:.3g} on"
        return f"{who} with {one.varied} {bounds}."
    return f"{who} if {one.varied} were {bound(one)} (asked: {written(one.asked, one.relative)}): {one.reason}."


def bound(one: Stretch) -> str:
    """The end of a stretch that is nearest to the value asked for, which is not in it."""
    below = one.asked is not None and one.asked >= one.low
    if below:
        return f"below {written(rounded_down(one.high), one.relative)}"
    return f"{written(rounded_up(one.low), one.relative)} or more"


def written(value: float, relative: bool) -> str:
    """As a person writes it in a scenario: a fraction in per cent."""
    return f"{100.0 * value:.6g}%" if relative else f"{value:g}"


def rounded_up(value: float) -> float:
    """To so few digits that a person would write it, and still enough."""
    if value <= 0.0:
        return 0.0
    scale = _scale(value)
    found = math.ceil(value * scale - 1e-9)
    return found / scale if found / scale >= value else (found + 1) / scale


def rounded_down(value: float) -> float:
    """To so few digits, and no more than it is; `value` is above zero."""
    scale = _scale(value)
    return math.floor(value * scale + 1e-9) / scale


def _scale(value: float) -> float:
    return float(10.0 ** (_DIGITS - 1 - math.floor(math.log10(value))))


def _joined(
    varied: str,
    asked: float | None,
    values: Sequence[float],
    answer: Callable[[float], Settled],
    passed: Collection[str],
    relative: bool = False,
) -> list[Stretch]:
    """One stretch for each run of values, ascending, with the same answer; the last has no end."""
    found = list[Stretch]()
    for value in values:
        settled = answer(value)
        tied = settled.equals if settled.winner == TIE else ()
        if found and (found[-1].winner, set(found[-1].tied)) == (settled.winner, set(tied)):
            continue
        if found:
            found[-1] = replace(found[-1], high=value)
        sure = all(name in passed for name in tied or (settled.winner,))
        figures = (settled.winner, tied, settled.runner_up, settled.margin, settled.why, sure, relative)
        found.append(Stretch(varied, value, math.inf, asked, *figures))
    return found


def _floors(court: Court, cpu_flags: Collection[str] | None) -> list[Stretch]:
    """Each floor by itself, the others as they are; generated inputs judge no quality, so that none matters there."""
    if court.provisional:
        return []
    found = list[Stretch]()
    for metric, floor in court.scenario.quality.items():
        needed = least_floors(court, metric, cpu_flags)
        passed = least_floors(court, metric, cpu_flags, frozenset({"ok"}))
        values = sorted({0.0, *needed.values()})
        costs = {name: dict(court.evidence[name].cost or {}) for name in needed}
        answer = _within(needed, costs)
        found += _joined(f"the {metric} floor", floor.amount, values, answer, passed, floor.relative)
    return found


def _within(needed: Mapping[str, float], costs: Costs) -> Callable[[float], Settled]:
    return lambda amount: settle({name: costs[name] for name, least in needed.items() if least <= amount})


def least_floors(
    court: Court, metric: str, cpu_flags: Collection[str] | None, standing: Collection[str] = _STANDING
) -> dict[str, float]:
    """The least floor, in the floor's own terms, at which each candidate passes; those that fail elsewhere left out.

    What lost the race on cost is in again: it may win where a floor is tighter and the cheaper ones lose too much.
    """
    floor, found = court.scenario.quality[metric], dict[str, float]()
    others = {name: each for name, each in court.scenario.quality.items() if name != metric}
    asked = court.scenario.model_copy(update={"quality": others})
    for name, one in court.evidence.items():
        quality = next((each for each in one.record.quality if each.metric == metric), None)
        if quality is None or not one.cost or lacking(one.record, cpu_flags):
            continue
        if gate(one, asked, court.provisional).status not in standing:
            continue
        least = least_floor(floor, quality)
        if least is not None:
            found[name] = least
    return found


def least_floor(floor: Floor, quality: Quality) -> float | None:
    """The least that a floor would have to allow, in its own terms; None where no figure says."""
    unit = allowed_loss(floor.model_copy(update={"amount": 1.0}), quality.base)
    figures = (quality.value, quality.base, quality.delta, quality.low, quality.high)
    return max(0.0, worst_loss(quality) / unit) if unit > 0.0 and all(map(math.isfinite, figures)) else None


def _headrooms(court: Court) -> list[Stretch]:
    """How much spare capacity is kept decides how many whole replicas each takes."""
    scenario, fleet_qps = court.scenario, court.scenario.traffic.fleet_qps
    if fleet_qps is None:
        return []
    carried = {name: court.evidence[name].capacity_qps or {} for name in _running(court)}

    def answer(headroom: float) -> Settled:
        return settle(
            {
                name: {number: _fleet_cost(court, name, fleet_qps, qps, headroom) for number, qps in each.items()}
                for name, each in carried.items()
            }
        )

    if not carried:
        return []
    return _joined("the headroom", scenario.fleet.headroom, HEADROOMS, answer, court.accepted, relative=True)


def _running(court: Court) -> list[str]:
    """Those that passed every gate, or may yet, and whose cost is known."""
    return [name for name, one in court.evidence.items() if court.gates[name].status in ("ok", "open") and one.cost]


def _fleet_cost(court: Court, name: str, fleet_qps: float, capacity_qps: float, headroom: float) -> float:
    scenario = court.scenario
    count = replicas(fleet_qps, capacity_qps, headroom, scenario.fleet.spare)
    items_per_s = fleet_qps * scenario.traffic.mean_items / count
    return cost_per_million(items_per_s, court.evidence[name].cpus or 1, scenario.price, scenario.resources.gpus)


def _prices(court: Court) -> list[Stretch]:
    """Where replicas hold unlike numbers of cores, as servers may, it matters whether cores or hosts are paid for."""
    held = {name: court.evidence[name].cpus or 1 for name in _running(court)}
    if court.scenario.resources.gpus or len(set(held.values())) < 2:
        return []
    price = court.scenario.price
    asked = 0.0 if price is not None and price.per == "host-hour" else 1.0

    carried = {name: court.evidence[name].items_per_s or {} for name in held}

    def answer(share: float) -> Settled:
        return settle(
            {
                name: {number: (1.0 - share + share * held[name]) / rate for number, rate in each.items()}
                for name, each in carried.items()
            }
        )

    return _joined("the share of the price that goes by cores", asked, CORE_SHARES, answer, court.accepted, True)
