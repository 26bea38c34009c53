"""Which of the accepted to serve with: of those that surely cost next to nothing more than the best, by tie-break; no
switch for less than matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bakeoff.decide.compare import Interval
from bakeoff.decide.cost import cost_per_million
from bakeoff.decide.court import Court
from bakeoff.decide.judgement import Answer
from bakeoff.decide.judging import memory_bytes, startup_s
from bakeoff.decide.objective import MILLION

ALIKE = 1.1
"""Memory and start-up within a tenth of the least count as equal."""

Basis = Literal["cheapest", "only", "incumbent", "regret", "memory", "start-up"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What to serve with, the accepted that may be the best (and itself), and what decided among them.

    `regret` is how much dearer it may be than the best of the accepted (a fraction; None: unknown), with the chance of
    error that the court's field has.
    `gain` is how much cheaper the choice is than what serves today, as a fraction with its interval.
    """

    candidate: str
    equals: tuple[str, ...]
    basis: Basis
    answer: Answer | None
    gain: Interval | None
    regret: float | None


def choose(court: Court) -> Choice:
    """Choose among the accepted, of whom there is at least one."""
    candidate, equals, basis, answer, gain = _chosen(court)
    return Choice(candidate, equals, basis, answer, gain, court.field.regret(candidate, court.accepted))


def _chosen(court: Court) -> tuple[str, tuple[str, ...], Basis, Answer | None, Interval | None]:
    equals = court.field.may_be_best(court.accepted)
    incumbent = court.incumbent
    if incumbent in court.accepted and incumbent is not None:
        loss = court.loss(incumbent, equals[0]) if incumbent != equals[0] else None
        if incumbent in equals or (loss is not None and loss.value < court.scenario.matters):
            equals = tuple(dict.fromkeys([*equals, incumbent]))
            return incumbent, equals, "incumbent" if len(equals) > 1 else _alone(court), "STAY", None
    chosen, basis = _tie_break(court, equals)
    return chosen, equals, basis, *_against_today(court, chosen)


def _alone(court: Court) -> Basis:
    return "only" if len(court.accepted) == 1 else "cheapest"


def _tie_break(court: Court, equals: Sequence[str]) -> tuple[str, Basis]:
    """Among those whose regret is known to be too small to matter: memory, then start-up; the first by cost where these
    are alike too, and where no regret is known to be that small."""
    if len(equals) == 1:
        return equals[0], _alone(court)
    regrets = {name: court.field.regret(name, court.accepted) for name in equals}
    sound = [name for name, regret in regrets.items() if regret is not None and regret <= court.scenario.matters]
    if len(sound) <= 1:
        return (sound[0], "regret") if sound else (equals[0], "cheapest")
    lean = _least(sound, {name: memory_bytes(court.evidence[name]) for name in sound})
    if len(lean) == 1:
        return lean[0], "memory"
    quick = _least(lean, {name: startup_s(court.evidence[name]) for name in lean})
    return quick[0], "start-up" if len(quick) < len(lean) else "cheapest"


def _least(names: Sequence[str], figures: dict[str, float | None]) -> list[str]:
    """Those within a tenth of the least; an unknown figure never wins."""
    known = {name: figure for name, figure in figures.items() if figure is not None and figure > 0.0}
    least = min(known.values(), default=math.inf)
    return [name for name in names if name in known and known[name] <= least * ALIKE] or list(names)


def _against_today(court: Court, chosen: str) -> tuple[Answer | None, Interval | None]:
    """STAY or SWITCH, and the gain. None where nothing serves today, or nothing is known of it."""
    incumbent = court.incumbent
    if incumbent is not None:
        if incumbent in court.accepted:
            loss = court.loss(incumbent, chosen)
            return "SWITCH", None if loss is None else loss.saved
        found = court.gates.get(incumbent)
        if found is None or found.status not in ("failed", "eliminated"):
            return None, None
        return "SWITCH", _eliminated_gain(court, incumbent, chosen) if found.status == "eliminated" else None
    today = _production_score(court)
    score = court.evidence[chosen].mean_score
    if today is None or score is None:
        return None, None
    low, high = court.field.interval(chosen) or (score, score)
    gain = Interval(1.0 - score / today, 1.0 - high / today, 1.0 - low / today)
    return ("SWITCH" if gain.low > 0.0 and today / score - 1.0 >= court.scenario.matters else "STAY"), gain


def _eliminated_gain(court: Court, incumbent: str, chosen: str) -> Interval | None:
    """Against an incumbent that passed the gates and lost the race; None where the two had too few rounds together."""
    loss = court.beside(incumbent, chosen)
    return None if loss is None else loss.saved


def _production_score(court: Court) -> float | None:
    """What the objective counts, of production's own figures."""
    today, objective = court.scenario.incumbent, court.scenario.objective
    if today is None or objective == "cost":
        return production_cost(court)
    if objective == "throughput":
        return MILLION / today.qps / court.scenario.traffic.mean_items if today.qps else None
    sla = court.scenario.sla
    p99_ms = today.p99_ms if sla is None or sla.percentile == 99.0 else None
    return {"p99": p99_ms, "memory": today.memory_bytes}.get(objective)


def production_cost(court: Court) -> float | None:
    """What production's own figures cost per million items."""
    today = court.scenario.incumbent
    if today is None or today.qps is None or today.cpus is None:
        return None
    items_per_s = today.qps * court.scenario.traffic.mean_items
    return cost_per_million(items_per_s, today.cpus, court.scenario.price, today.gpus or 0)
