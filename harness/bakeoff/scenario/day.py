"""A shop's day: how busy each of its 24 hours is, as a share of the busiest."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bakeoff.errors import UserError
from bakeoff.scenario.trace import Recorded, parse

HOURS = 24
HOUR_S = 3600.0
HOUR, FACTOR = "hour", "factor"
QUIETEST = 0.001
USUAL = (
    0.45, 0.30, 0.20, 0.15, 0.13, 0.15, 0.22, 0.33, 0.45, 0.56, 0.64, 0.68,
    0.70, 0.70, 0.68, 0.68, 0.70, 0.74, 0.80, 0.90, 1.00, 0.98, 0.84, 0.63,
)  # fmt: skip
"""An assumption, for a shop of one time zone: quiet before dawn, level by day, busiest in the evening."""

Factors = tuple[float, ...]


def read(file: Path) -> Factors:
    """The factors of a day: from a CSV file of hour (0 to 23) and factor, or from recorded arrivals, in a file as for a
    scenario's trace, that cover a day. Raises UserError with what is wrong."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    try:
        if file.suffix not in (".csv", ".parquet"):
            raise ValueError("must be a .csv or .parquet file")
        head = data.partition(b"\n")[0].decode(errors="replace")
        by_hour = file.suffix == ".csv" and HOUR in (name.strip() for name in head.split(","))
        return _scaled(_table(data) if by_hour else _counted(parse(data, file.suffix)))
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None


def _table(data: bytes) -> list[float]:
    """The column factor in order of the column hour."""
    import pandas as pd

    table = pd.read_csv(io.BytesIO(data), skipinitialspace=True).rename(columns=str.strip)
    if FACTOR not in table:
        raise ValueError(f"has no column {FACTOR} beside {HOUR}")
    if not pd.api.types.is_numeric_dtype(table[FACTOR]):
        raise ValueError(f"has a column {FACTOR} that is not numbers")
    if set(table[HOUR]) != set(range(HOURS)) or len(table) != HOURS:
        raise ValueError(f"must have each {HOUR} from 0 to {HOURS - 1} once")
    return table.sort_values(HOUR)[FACTOR].astype(float).tolist()


def _counted(arrivals: Recorded) -> list[float]:
    """Arrivals in each hour of a day that begins with the first; the mean over days where there are more."""
    days = int(float(arrivals.times_s[-1]) // (HOURS * HOUR_S) + 1e-9)
    if not days:
        raise ValueError(f"covers {float(arrivals.times_s[-1]) / HOUR_S:.3g} hours; a day's trace covers {HOURS}")
    hours = (arrivals.times_s[arrivals.times_s < days * HOURS * HOUR_S] // HOUR_S).astype(int) % HOURS
    return [float(count) for count in np.bincount(hours, minlength=HOURS)]


def _scaled(factors: list[float]) -> Factors:
    """As shares of the busiest hour, which is the peak; an hour without any request counts as QUIETEST."""
    most = max(factors)
    if not all(0.0 <= each < float("inf") for each in factors) or most <= 0.0:
        raise ValueError("must have factors of 0 or more, and one above it")
    return tuple(max(each / most, QUIETEST) for each in factors)
