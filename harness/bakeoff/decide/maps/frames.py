"""The decision map and its sensitivity as tidy frames: a row per point, a row per stretch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from bakeoff.decide.maps.decision_map import DecisionMap
from bakeoff.decide.what_if.sensitivity import Stretch

MAP_COLUMNS = (
    "qps",
    "batch_size",
    "sla_ms",
    "winner",
    "cost",
    "runner_up",
    "margin",
    "extrapolated",
    "reason",
    "replicas",
    "tied",
)
STRETCH_COLUMNS = ("varied", "low", "high", "asked", "winner", "tied", "runner_up", "margin", "reason")


def map_frame(found: DecisionMap) -> pd.DataFrame:
    """One row per point: `qps` is the fleet's, `cost` as `found.unit` says, `tied` holds ids with blanks between.

    `winner` is a candidate's id, "tie" or "none"; figures that a point cannot have are missing.
    """
    rows = [asdict(point) | {"tied": " ".join(point.tied)} for point in found.points]
    table = pd.DataFrame(rows, columns=list(MAP_COLUMNS))
    whole = {"batch_size": "Int64", "replicas": "Int64"}
    return table.astype(whole | dict.fromkeys(("qps", "sla_ms", "cost", "margin"), "Float64"))


def sensitivity_frame(found: Iterable[Stretch]) -> pd.DataFrame:
    """One row per stretch of values with one answer, from `low` to below `high`; an open end is missing."""
    rows = [asdict(one) | {"tied": " ".join(one.tied)} for one in found]
    table = pd.DataFrame(rows, columns=list(STRETCH_COLUMNS))
    table["high"] = table["high"].where(table["high"] != float("inf"))
    return table.astype(dict.fromkeys(("low", "high", "asked", "margin"), "Float64"))
