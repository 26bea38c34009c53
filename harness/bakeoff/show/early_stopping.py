"""MLPerf LoadGen's early stopping: how many queries a run needs, and the percentile that it can vouch for.

Source: https://github.com/mlcommons/inference/blob/master/loadgen/early_stopping.cc. It takes latencies as independent,
which under load they are not: our own verdicts do not use it.
"""

from __future__ import annotations

from functools import lru_cache

from scipy.special import betainc

CONFIDENCE = 0.99


@lru_cache(maxsize=4096)
def least_under(over: int, share: float) -> int:
    """How many queries within the limit a run with `over` late ones needs, to claim that `share` (of 1) are within it.

    With fewer, so few late ones have a probability of 1 % or more where exactly `share` of all queries are within.
    """
    low, high = 1, 2
    while not _claims(high, over, share):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _claims(middle, over, share) else (middle + 1, high)
    return low


def discarded(queries: int, share: float) -> int | None:
    """How many of the highest latencies a run may discard before the next is its estimate of the percentile `share`.

    None where it has too few queries for any estimate.
    """
    if queries < least_under(1, share) + 1:
        return None
    low, high = 1, queries
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if queries >= least_under(middle, share) + middle else (low, middle - 1)
    return low - 1


def _claims(under: int, over: int, share: float) -> bool:
    return float(betainc(under, over + 1, share)) < 1 - CONFIDENCE
