"""What creeps in below the nightly threshold: Apache Otava's E-divisive change points in the history. Report only.

The series are the nights' chained log ratios, never times: those drift with the machine. Otava's p is not corrected for
its search over places, hence so small a one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf, pi, sqrt
from statistics import median
from typing import Any

from bakeoff.backends import Unavailable
from bakeoff.decide.drift import past
from bakeoff.decide.drift.answers import MEASURED, fraction
from bakeoff.decide.drift.past import ChangePoint, History, Point, Series
from bakeoff.errors import UserError
from bakeoff.store.engine import told
from bakeoff.store.nights import Nights

MOST_P = 1e-5
BEYOND_JOINS = 4.0
"""So many standard errors of the joins between pins a step must be beyond, for they look like steps to Otava."""
OF_A_MEDIAN = pi / 2.0
"""A median's variance in those of a mean, for a normal variable."""
OF_A_DEVIATION = 1.4826
"""A normal variable's standard deviation in median absolute ones."""
FEWEST = 3
"""Nights below which there is nothing to find."""

Seek = Callable[[Sequence[Sequence[float]], float], Sequence[Sequence[Mapping[str, Any]]]]
"""Finds each series' change points of at most a p: place, p, the means before and after. Raises Unavailable."""


def history(store: Nights, metric: str, seek: Seek, parts: Sequence[str] = ()) -> History:
    """The history of the benchmarks whose names hold one of `parts`, default all, with the change points of `seek`.

    Raises UserError for a metric that no session has, and what `past.history` refuses.
    """
    if metric not in MEASURED:
        raise UserError(f"--metric {metric}: unknown; it takes {', '.join(MEASURED)}")
    with told(store.place):
        found = past.history(store.history(metric), metric, parts)
    try:
        return replace(found, series=sought(found.series, metric, seek))
    except Unavailable as missing:
        return replace(found, not_sought=str(missing))


def sought(series: Sequence[Series], metric: str, seek: Seek) -> tuple[Series, ...]:
    """The same series with their change points; raises Unavailable where `seek` does."""
    levels = [[point.level for point in each.points] for each in series]
    found = iter(seek(long, MOST_P) if (long := [each for each in levels if len(each) >= FEWEST]) else [])
    return tuple(_with(each, next(found), metric) if len(each.points) >= FEWEST else each for each in series)


def _with(series: Series, found: Sequence[Mapping[str, Any]], metric: str) -> Series:
    edges = [0, *(each["place"] for each in found), len(series.points)]
    changes = tuple(
        ChangePoint(
            place=place,
            night=series.points[place].night,
            size=fraction(metric, each["after"] - each["before"]),
            p=each["p"],
        )
        for each, (begin, place, end) in zip(found, zip(edges, edges[1:], edges[2:], strict=False), strict=True)
        if abs(each["after"] - each["before"]) > BEYOND_JOINS * _join_error(series.points, begin, place, end)
    )
    return replace(series, changes=changes)


def _join_error(points: Sequence[Point], begin: int, place: int, end: int) -> float:
    """The standard error that joined pins alone give the step at `place` between the means up to it and from it on.

    A join moves all nights after it: of a mean, the share that lies behind it.
    """
    variance = 0.0
    for at in range(begin + 1, end):
        if points[at].joined:
            weight = (at - begin) / (place - begin) if at <= place else (end - at) / (end - place)
            variance += weight**2 / points[at].joined
    return _noise(points) * sqrt(OF_A_MEDIAN * variance)


def _noise(points: Sequence[Point]) -> float:
    """The standard deviation of a night's value, from the steps between neighbours that no join parts; robust."""
    steps = [abs(later.level - point.level) for point, later in pairwise(points) if not later.joined]
    return median(steps) * OF_A_DEVIATION / sqrt(2.0) if steps else inf
