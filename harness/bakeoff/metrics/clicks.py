"""How well probabilities of a click fit the clicks: AUC, and the logloss of each row."""

from __future__ import annotations

import math

import numpy as np

from bakeoff.metrics.delong import paired_auc
from bakeoff.metrics.examples import Examples, Floats, column, labels_of

_TINY = 1e-7
_ROUNDING = 1e-2
"""How far beyond 0 or 1 an engine of low precision may round a probability."""


def auc(examples: Examples, scores: Floats) -> float:
    """The chance that a clicked row scores above one that was not clicked; a tie counts half."""
    one = column(scores)
    return paired_auc(labels_of(examples) > 0.5, one, one)[0]


def log_losses(examples: Examples, scores: Floats) -> Floats:
    """Each row's logloss; scores of which any is no probability, rounding apart, are logits."""
    labels, one = labels_of(examples), column(scores)
    if one.min() < -_ROUNDING or one.max() > 1.0 + _ROUNDING:
        return np.logaddexp(0.0, one) - labels * one
    p = np.clip(one, _TINY, 1.0 - _TINY)
    return -(labels * np.log(p) + (1.0 - labels) * np.log1p(-p))


def normalized_entropies(examples: Examples, scores: Floats) -> Floats:
    """Each row's logloss over the entropy of the average click rate: below 1 where it beats knowing that rate alone.

    He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, 2014. NaN where all labels are alike.
    """
    rate = float(labels_of(examples).mean())
    entropy = -(rate * math.log(rate) + (1.0 - rate) * math.log1p(-rate)) if 0.0 < rate < 1.0 else math.nan
    return log_losses(examples, scores) / entropy
