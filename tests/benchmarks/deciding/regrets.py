"""What a choice loses against the best of a run, by that run's own rounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.decide.compare import Field
from bakeoff.decide.court import convene
from bakeoff.store.record import ScenarioRecord


@dataclass(frozen=True, slots=True)
class Regret:
    """How much more the choice has of what counts than the `best` (a fraction, with the interval of all comparisons of
    the run); infinite where `why` says what it missed."""

    best: str | None
    value: float
    low: float = 0.0
    high: float = 0.0
    why: str = ""


def regret(record: ScenarioRecord, choice: str | None) -> Regret:
    """Against the cheapest of those that passed every gate there, or that more time might have let pass; a choice that
    missed one has no excuse."""
    court = convene(record)
    costs = {
        name: score
        for name, one in court.evidence.items()
        if court.gates[name].status in ("ok", "open") and (score := one.mean_score) is not None
    }
    best = min(costs, key=costs.__getitem__, default=None)
    if best is None or choice is None:
        return _unknown(best, "nothing was chosen" if choice is None else "nothing passed every gate")
    if best == choice:
        return Regret(best, 0.0)
    found = court.gates.get(choice)
    if found is None or found.status == "failed":
        return _unknown(best, "it was not measured" if found is None else found.reason)
    both = {name: court.evidence[name].round_scores for name in (choice, best)}
    loss = Field(both, bounds=court.field.bounds).dearer(choice, best)
    if loss is None:
        return _unknown(best, "too few rounds had both")
    return Regret(best, max(0.0, loss.value), loss.low, loss.high)


def _unknown(best: str | None, why: str) -> Regret:
    return Regret(best, math.inf, -math.inf, math.inf, why)
