"""What creeps in below the nightly threshold: Apache Otava's E-divisive change points in the history. Report only.

The series are the nights' chained log ratios, never times: those drift with the machine. Otava's p is not corrected for
its search over places, hence so small a one.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakeoff.backends import Unavailable
from bakeoff.decide.drift import past
from bakeoff.decide.drift.answers import MEASURED
from bakeoff.decide.drift.past import ChangePoint, History, Series
from bakeoff.errors import UserError
from bakeoff.measure import environments
from bakeoff.measure.child import StageFailed
from bakeoff.store.engine import told
from bakeoff.store.nights import Nights

OTAVA = "apache-otava==0.8.0"
REMEDY = "it is installed once, by uv: look at the network, then ask again"
MOST_P = 1e-5
FEWEST = 3
"""Nights below which there is nothing to find."""
LIMIT_S = 600.0


def history(store: Nights, metric: str, parts: Sequence[str] = ()) -> History:
    """The history of the benchmarks whose names hold one of `parts`, default all, with change points where Otava runs.

    Raises UserError for a metric that no session has, and what `past.history` refuses.
    """
    if metric not in MEASURED:
        raise UserError(f"--metric {metric}: unknown; it takes {', '.join(MEASURED)}")
    with told(store.place):
        found = past.history(store.history(metric), metric, parts)
    try:
        return replace(found, series=sought(found.series, metric))
    except Unavailable as missing:
        return replace(found, not_sought=str(missing))


def sought(series: Sequence[Series], metric: str) -> tuple[Series, ...]:
    """The same series with their change points.

    Raises Unavailable where there is no environment with Otava and none can be made.
    """
    long = [each for each in series if len(each.points) >= FEWEST]
    if not long:
        return tuple(series)
    found = iter(_otava([[point.level for point in each.points] for each in long]))
    return tuple(_with(each, next(found), metric) if each in long else each for each in series)


def _with(series: Series, found: Sequence[Mapping[str, Any]], metric: str) -> Series:
    changes = tuple(
        ChangePoint(
            place=each["place"],
            night=series.points[each["place"]].night,
            size=past.fraction(metric, each["after"] - each["before"]),
            p=each["p"],
            at_pin=series.points[each["place"]].repinned,
        )
        for each in found
    )
    return replace(series, changes=changes)


def _otava(levels: Sequence[Sequence[float]]) -> list[list[dict[str, Any]]]:
    try:
        python = environments.made("otava", [OTAVA], REMEDY) / environments.PYTHON
    except StageFailed as failed:
        raise Unavailable(f"{OTAVA}: {failed.reason}", failed.remedy) from None
    asked = json.dumps({"series": levels, "most_p": MOST_P}, allow_nan=False)
    program = Path(__file__).with_name("otava_side.py")
    done = subprocess.run(
        [python, "-I", program], input=asked, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S
    )
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found
