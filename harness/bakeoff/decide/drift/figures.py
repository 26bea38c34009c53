"""From a metric's sessions to the figure that a night shows of it; what rule.py decides of it is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bakeoff.decide.drift.answers import MEASURED, QUALITY, Figure, Session, Status, fraction
from bakeoff.decide.drift.detect import detectable_by_t
from bakeoff.decide.drift.flips import interval
from bakeoff.decide.drift.screen import Series

CONFIDENCE = 0.99
UNITS = {"service_time": "s", "p99": "s", "capacity": "requests/s", "memory": "bytes", "load_time": "s"}


def figure(each: Series, status: Status, mde: float | None, reason: str) -> Figure:
    """`low` and `high`: the sign-flip test's where there are enough fresh sessions, else t's by the pooled spread."""
    if not each.deciding:
        return Figure(each.metric, status, unit=UNITS[each.metric], reason=reason)
    ends = interval(each.fresh, CONFIDENCE)
    if ends is None and each.spread.freedom:
        half = each.spread.half(len(each.deciding), (1.0 - CONFIDENCE) / 2.0)
        ends = each.estimate - half, each.estimate + half
    return Figure(
        each.metric,
        status,
        fraction(each.metric, each.estimate),
        None if ends is None else fraction(each.metric, ends[0] - each.allowance),
        None if ends is None else fraction(each.metric, ends[1] + each.allowance),
        None if mde is None else fraction(each.metric, mde),
        sessions=len(each.screened) + len(each.fresh),
        unit=UNITS[each.metric],
        reason=reason,
    )


def reported(each: Series, level: float) -> Figure:
    """What decides nothing; the MDE is that of a t-test at a level."""
    mde = detectable_by_t(each.spread, len(each.deciding), level)
    status: Status = "inconclusive" if each.faults or not each.deciding else "ok"
    return figure(each, status, mde, "; ".join(each.faults))


def beside_stored(each: Series, gate: float | None) -> Figure:
    """What stored figures tell beside service time: a change, and not how far to trust it."""
    found = figure(each, "inconclusive", None, "; ".join([*each.faults, "stored figures of it decide nothing"]))
    return replace(found, low=None, high=None, gate=gate)


def with_sides(found: Figure, sessions: Sequence[Session]) -> Figure:
    """Both sides' figures, the medians over sessions."""
    baseline, now = ([each.baseline for each in sessions], [each.now for each in sessions])
    return replace(found, baseline=_median(found.metric, baseline), now=_median(found.metric, now))


def _median(metric: str, sides: Iterable[Mapping[str, float]]) -> float | None:
    known = [each[metric] for each in sides if math.isfinite(each.get(metric, math.nan))]
    return float(np.median(known)) if known else None


def sane(found: Figure) -> Figure:
    """An exact figure as it was given, unless it would pass on what is no figure: none, NaN, and 0 or below of what
    is not a quality (an error may be 0)."""
    sides = [each for each in (found.baseline, found.now) if each is not None]
    numbers = [found.change if found.change is not None else math.nan, *sides]
    sound = all(map(math.isfinite, numbers)) and (found.metric.startswith(QUALITY) or all(x > 0.0 for x in sides))
    if sound or found.status not in ("ok", "improved"):
        return found
    told = ", ".join(f"{name} {getattr(found, name)}" for name in ("change", "baseline", "now"))
    return replace(found, status="inconclusive", reason=f"no figure to go by: {told}")


def absent(gates: Mapping[str, float], exact: Sequence[Figure]) -> list[Figure]:
    """Gates that neither sessions nor exact figures speak of."""
    given = {name for each in exact for name in (each.metric, each.metric.partition(":")[0])}
    return [
        Figure(metric, "missing", gate=gate, reason="not measured")
        for metric, gate in gates.items()
        if metric not in MEASURED and metric not in given
    ]
