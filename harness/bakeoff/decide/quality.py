"""What a candidate loses in ranking quality against the base model's fp32 answers, on the same held-out examples.

The differences are paired: both models score the same rows, so that what the examples have in common cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from scipy import special

from bakeoff import metrics as arithmetic
from bakeoff.decide.bootstrap import macro_f1_interval
from bakeoff.metrics import Floats, classes, fidelity
from bakeoff.metrics.delong import paired_auc
from bakeoff.metrics.examples import column, labels_of
from bakeoff.scenario.parts import Floor
from bakeoff.store.record import Quality

__all__ = ["Examples", "Quality", "allowed_loss", "evaluate", "judge", "over_floor", "worst_loss"]

Outcome = Literal["ok", "missed", "undecided"]
Interval = tuple[float, float]

_FOLDS = 20
_CONFIDENCE = 0.975


class Examples(arithmetic.Examples, Protocol):
    """Held-out examples with the base's answers to them (see workloads.prepared.Holdout)."""

    @property
    def reference(self) -> np.ndarray[Any, Any]: ...


def evaluate(holdout: Examples, outputs: np.ndarray[Any, Any], metrics: Sequence[str]) -> tuple[Quality, ...]:
    """Each metric of `outputs` (rows x ..., like `holdout.reference`) beside the base's, with a 95 % interval.

    Outputs that are not finite, or of another shape, make every figure NaN, which passes no gate.
    Raises ValueError for a metric that is unknown or that these examples cannot give.
    """
    if not metrics:
        return ()
    base = np.asarray(holdout.reference, dtype=np.float64)
    scores = np.asarray(outputs, dtype=np.float64)
    for metric in metrics:
        arithmetic.require(metric, holdout, base.shape)
    if scores.shape != base.shape and scores.size == base.size and len(scores) == len(base):
        scores = scores.reshape(base.shape)
    if scores.shape != base.shape or not np.isfinite(scores).all():
        return tuple(_unknown(metric, len(base)) for metric in metrics)
    return tuple(_judged(metric, holdout, scores, base) for metric in metrics)


def allowed_loss(floor: Floor, base: float) -> float:
    """The largest loss that a floor allows, in the metric's own units."""
    return floor.amount * abs(base) if floor.relative else floor.amount


def worst_loss(quality: Quality) -> float:
    """The largest loss that the interval leaves open, in the metric's own units."""
    return -quality.low if quality.higher_is_better else quality.high


def over_floor(quality: Quality, floor: Floor) -> float:
    """By what share of what a floor allows the loss may be more than that; infinite where nobody knows, or it allows
    none."""
    allowed, worst = allowed_loss(floor, quality.base), worst_loss(quality)
    return worst / allowed - 1.0 if allowed > 0.0 and math.isfinite(worst) else math.inf


def judge(quality: Quality, floor: Floor) -> Outcome:
    """ok where even the worst end of the loss's interval is allowed, missed where even the best end is not."""
    figures = (quality.value, quality.base, quality.delta, quality.low, quality.high)
    if not math.isfinite(quality.value):
        return "missed"
    if not all(math.isfinite(figure) for figure in figures):
        return "undecided"
    worst, best = worst_loss(quality), -quality.high if quality.higher_is_better else quality.low
    allowed = allowed_loss(floor, quality.base)
    if worst <= allowed:
        return "ok"
    return "missed" if best > allowed else "undecided"


def _judged(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    each = arithmetic.named(metric).each
    if each is None:
        return _JUDGES[metric](metric, holdout, scores, base)
    return _paired_mean(metric, each(holdout, scores), each(holdout, base))


def _auc(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    labels = labels_of(holdout)
    value, reference, error = paired_auc(labels > 0.5, column(scores), column(base))
    half = float(special.ndtri(_CONFIDENCE)) * error
    return _quality(metric, value, reference, (value - reference - half, value - reference + half), len(labels))


def _macro_f1(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    value, reference = classes.macro_f1(holdout, scores), classes.macro_f1(holdout, base)
    interval = macro_f1_interval(classes.truth(holdout), classes.predicted(scores), classes.predicted(base))
    return _quality(metric, value, reference, interval, len(base))


def _score_error(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    """Root of the mean squared error, over the spread of the base's own scores."""
    spread = float(base.std()) or 1.0
    rows = ((scores - base) ** 2).reshape(len(base), -1).mean(axis=1) / spread**2
    means = _fold_means(rows, fidelity.rows_of_lists(holdout.groups, len(base)))
    mean, (low, high) = float(rows.mean()), _mean_interval(means)
    return _quality(metric, math.sqrt(mean), 0.0, (math.sqrt(max(low, 0.0)), math.sqrt(max(high, 0.0))), len(rows))


def _against(measure: Callable[[Examples, Floats, Floats], Floats], of_itself: float) -> Judge:
    """A fidelity metric: a value for each list that is `of_itself` where it is ranked as the base ranks it."""

    def judge_of(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
        values = measure(holdout, scores, base)
        return _paired_mean(metric, values, np.full_like(values, of_itself))

    return judge_of


Judge = Callable[[str, Examples, Floats, Floats], Quality]

_JUDGES: Mapping[str, Judge] = {
    "auc": _auc,
    "macro_f1": _macro_f1,
    "score_error": _score_error,
    "rank_correlation": _against(fidelity.rank_correlations, 1.0),
    "top10_agreement": _against(fidelity.top10_agreements, 1.0),
    arithmetic.SERVED: _against(fidelity.top10_changed, 0.0),
}


def _paired_mean(metric: str, values: Floats, base: Floats) -> Quality:
    if not len(values):
        return _unknown(metric, 0)
    return _quality(metric, float(values.mean()), float(base.mean()), _mean_interval(values - base), len(values))


def _mean_interval(differences: Floats) -> Interval:
    """The t interval of a mean at 95 %; unbounded for a single example, unless all agree by being one and the same."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return (mean, mean) if mean == 0.0 else (-math.inf, math.inf)
    half = float(special.stdtrit(count - 1, _CONFIDENCE) * differences.std(ddof=1) / math.sqrt(count))
    return mean - half, mean + half


def _fold_means(rows: Floats, lists: Sequence[np.ndarray[Any, Any]]) -> Floats:
    """Means by list, whose rows belong together; by folds of the rows where there are too few lists to say anything."""
    parts = lists if len(lists) >= _FOLDS else np.array_split(np.arange(len(rows)), min(_FOLDS, len(rows)))
    return np.array([float(rows[part].mean()) for part in parts])


def _quality(metric: str, value: float, base: float, interval: Interval, examples: int) -> Quality:
    better = arithmetic.named(metric).higher_is_better
    return Quality(metric, value, base, value - base, *interval, examples, better)


def _unknown(metric: str, examples: int) -> Quality:
    return _quality(metric, math.nan, math.nan, (math.nan, math.nan), examples)
