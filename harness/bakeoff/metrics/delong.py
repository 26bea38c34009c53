"""The AUC of two scorings of the same rows, and the variance of their difference.

DeLong, DeLong and Clarke-Pearson (1988), by midranks as in Sun and Xu (2014): O(n log n).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def paired_auc(positive: np.ndarray[Any, np.dtype[np.bool_]], one: Floats, other: Floats) -> tuple[float, float, float]:
    """AUC of `one`, AUC of `other`, and the standard error of their difference; NaN where one class is absent."""
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return float("nan"), float("nan"), float("nan")
    one_auc, one_up, one_down = _components(positive, one)
    other_auc, other_up, other_down = _components(positive, other)
    variance = _variance(one_up - other_up) / m + _variance(one_down - other_down) / n
    return one_auc, other_auc, float(np.sqrt(variance))


def _components(positive: np.ndarray[Any, np.dtype[np.bool_]], scores: Floats) -> tuple[float, Floats, Floats]:
    """The AUC; for each positive the share of negatives below it, for each negative the share of positives above."""
    from scipy.stats import rankdata  # half a second of imports that most verbs need not pay

    up, down = scores[positive], scores[~positive]
    ranks = rankdata(np.concatenate([up, down]))
    above = (ranks[: len(up)] - rankdata(up)) / len(down)
    below = 1.0 - (ranks[len(up) :] - rankdata(down)) / len(up)
    return float(above.mean()), above, below


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
