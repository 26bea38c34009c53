"""Costs in the unit that leaves figures a person can read: a hundred-thousandth of a dollar tells nobody anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.show.numbers import known

_COUNTED = "million items"
_LARGER = ((1e3, "billion items"), (1e6, "trillion items"))
_SMALLEST_READABLE = 0.01


def readable(verdict: Verdict) -> Verdict:
    """The same verdict with its costs per billion (or trillion) items where a million cost next to nothing."""
    costs = [one.cost for one in verdict.candidates if one.cost is not None and known(one.cost) and one.cost > 0]
    factor, unit = fitting(costs, verdict.cost_unit)
    if factor == 1.0:
        return verdict
    production = dict(verdict.production) if verdict.production else None
    if production and known(production.get("cost")):
        production["cost"] *= factor
    return replace(
        verdict,
        cost_unit=unit,
        candidates=tuple(_scaled(one, factor) for one in verdict.candidates),
        choice=_scaled(verdict.choice, factor) if verdict.choice else None,
        incumbent=_scaled(verdict.incumbent, factor) if verdict.incumbent else None,
        production=production,
    )


def fitting(costs: Sequence[float], unit: str) -> tuple[float, str]:
    """By what to multiply costs so that a person can read them, and the unit that they have then."""
    if not costs or _COUNTED not in unit or median(costs) >= _SMALLEST_READABLE:
        return 1.0, unit
    larger = [(factor, name) for factor, name in _LARGER if median(costs) * factor >= _SMALLEST_READABLE]
    factor, name = larger[0] if larger else _LARGER[-1]
    return factor, unit.replace(_COUNTED, name)


def _scaled(judged: Judgement, factor: float) -> Judgement:
    return replace(
        judged,
        cost=_times(judged.cost, factor),
        cost_low=_times(judged.cost_low, factor),
        cost_high=_times(judged.cost_high, factor),
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
