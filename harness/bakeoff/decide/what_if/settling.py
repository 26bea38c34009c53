"""Who is cheapest by costs round by round, and whom it cannot be told apart from: for any question of what if."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.decide.compare import Field
from bakeoff.decide.court import CLOSE, ERROR_AT_THE_END, by_cost
from bakeoff.decide.race import MARGIN
from bakeoff.decide.wording import by_how_much, listed, percent
from bakeoff.store.record import SCREEN_ROUND

TIE, NONE = "tie", "none"

Costs = Mapping[str, Mapping[int, float]]
"""By candidate, by round; the screen counts where a pair had no two rounds together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """How much dearer another is than the cheapest, and whether that is more than chance."""

    dearer: float
    apart: bool
    words: str
    span: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The candidates by cost. `equals` cannot be told apart from the cheapest, which comes first; `margin` is the
    fraction by which that is cheaper than the next, on average."""

    order: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    margin: float | None = None
    why: str = "no candidate"

    @property
    def winner(self) -> str:
        """The cheapest where it is alone, else "tie"; "none" where there is no candidate."""
        return (self.equals[0] if len(self.equals) == 1 else TIE) if self.equals else NONE

    @property
    def runner_up(self) -> str | None:
        """The next by cost."""
        return self.order[1] if len(self.order) > 1 else None


def settle(costs: Costs, slack: Mapping[str, float] | None = None) -> Settled:
    """Compare the costs of those that may serve. `slack` is by how much (on a log scale) each may be off besides."""
    if not costs:
        return Settled()
    rounds = {
        name: {number: cost for number, cost in each.items() if number > SCREEN_ROUND} for name, each in costs.items()
    }
    order = by_cost(rounds if all(rounds.values()) else {name: _comparable(each) for name, each in costs.items()})
    best, field, off = order[0], Field(rounds, ERROR_AT_THE_END), slack or {}
    pairs = {other: _pair(costs, field, best, other, off.get(best, 0.0) + off.get(other, 0.0)) for other in order[1:]}
    equals = (best, *(other for other, pair in pairs.items() if not pair.apart))
    if not pairs:
        return Settled(order, equals, None, "the only one")
    first = pairs[order[1]]
    why = f"{order[1]} is {first.words}"
    if len(equals) > 1:
        why = f"{listed(list(equals))} cannot be told apart ({pairs[equals[1]].span})"
    return Settled(order, equals, max(0.0, first.dearer / (1.0 + first.dearer)), why)


def _pair(costs: Costs, field: Field, best: str, other: str, slack: float) -> Pair:
    loss = field.dearer(other, best)
    if loss is not None:
        span = f"{percent(loss.low)} to {percent(loss.high)} dearer"
        return Pair(loss.value, loss.low > math.expm1(slack), by_how_much(loss, "dearer"), span)
    ratio = _alone(costs[other]) / _alone(costs[best])
    words = f"{percent(ratio - 1.0)} dearer by a screening block alone"
    screened = not any(number > SCREEN_ROUND for number in costs[best])
    return Pair(ratio - 1.0, ratio > (1.0 + (MARGIN if screened else CLOSE)) * math.exp(slack), words, words)


def _comparable(by_round: Mapping[int, float]) -> Mapping[int, float]:
    """The screen, which all share, where some had nothing else."""
    return {SCREEN_ROUND: by_round[SCREEN_ROUND]} if SCREEN_ROUND in by_round else by_round


def _alone(by_round: Mapping[int, float]) -> float:
    """The screen's cost, else the mean of what there is."""
    logs = [math.log(cost) for cost in by_round.values()]
    return by_round.get(SCREEN_ROUND) or math.exp(math.fsum(logs) / len(logs))
