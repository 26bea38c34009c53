"""Percentiles, shown only where the sample can carry them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

_CHANCE = 0.05
"""How often the largest of a sample may lie below the percentile that it is to show."""


def smallest_sample(percentile: float) -> int:
    """How many values a percentile (in per cent) needs: 5 for the median, 59 for p95, 299 for p99, 2,995 for p99.9.

    With n values the largest is below the true quantile q with probability q^n; that must not exceed 5 %.
    """
    return math.ceil(math.log(_CHANCE) / math.log(percentile / 100.0))


def percentile_or_none(values: Floats, percentile: float) -> float | None:
    """The percentile by nearest rank; None where the sample is too small for it or it falls on a value never known."""
    if len(values) < smallest_sample(percentile):
        return None
    value = float(np.quantile(values, percentile / 100.0, method="inverted_cdf"))
    return value if math.isfinite(value) else None
