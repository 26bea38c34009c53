"""What compressing the model gained: each variant beside the base that is served alike, by the blocks that both had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bakeoff.candidates import BASE
from bakeoff.decide.compare import Field
from bakeoff.decide.court import CLOSE, Court
from bakeoff.decide.judgement import Gain


def gains(court: Court) -> Mapping[str, Gain]:
    """The gain of every candidate of another variant than the base; all claims hold together as a verdict's do."""
    costs = {name: one.round_costs for name, one in court.evidence.items() if len(one.round_costs) >= 2}
    bounds = {name: court.evidence[name].bounds for name in costs}
    field = Field(costs, court.field.error, bounds)
    variants = [name for name, one in court.evidence.items() if one.record.candidate.variant != BASE]
    return {name: _gain(court, field, name) for name in variants}


def _gain(court: Court, field: Field, name: str) -> Gain:
    twin = replace(court.evidence[name].record.candidate, variant=BASE).id
    if twin not in court.evidence:
        return Gain(None, "not compared")
    loss = field.dearer(twin, name) if name in field.costs and twin in field.costs else None
    if loss is None:
        return _screened(court, twin, name)
    saved = loss.saved
    gained = saved.low > 0.0 and saved.value >= court.scenario.matters
    return Gain(twin, "gain" if gained else "none", "rounds", saved.value, saved.low, saved.high)


def _screened(court: Court, twin: str, name: str) -> Gain:
    """By one block of each, which tells apart only what differs clearly, and whose ratio has no interval."""
    mine, base = court.evidence[name].screen_cost, court.evidence[twin].screen_cost
    if mine is None or base is None:
        return Gain(twin, "not compared")
    saved = 1.0 - mine / base
    gained = base > mine * (1.0 + CLOSE) and saved >= court.scenario.matters
    return Gain(twin, "gain" if gained else "none", "screen", saved)
