"""What a candidate loses in ranking quality against the base model's fp32 answers, on the same held-out examples.

The differences are paired: both models score the same rows, so that what the examples have in common cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from scipy import stats

from bakeoff.decide import ranking
from bakeoff.decide.delong import paired_auc
from bakeoff.scenario.parts import Floor
from bakeoff.store.record import Quality

__all__ = ["METRICS", "Examples", "Quality", "allowed_loss", "evaluate", "judge"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Outcome = Literal["ok", "missed", "undecided"]

_TINY = 1e-7
_FOLDS = 20
_CONFIDENCE = 0.975


class Examples(Protocol):
    """What this module needs of a workload's held-out examples (see workloads.prepared.Holdout)."""

    @property
    def kind(self) -> str: ...
    @property
    def labels(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def groups(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def queries(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def relevant(self) -> np.ndarray[Any, Any] | None: ...
    @property
    def reference(self) -> np.ndarray[Any, Any]: ...


def evaluate(holdout: Examples, outputs: np.ndarray[Any, Any], metrics: Sequence[str]) -> tuple[Quality, ...]:
    """Each metric of `outputs` (rows x ..., like `holdout.reference`) beside the base's, with a 95 % interval.

    Outputs that are not finite, or of another shape, make every figure NaN, which passes no gate.
    Raises ValueError for a metric that is unknown or that these examples cannot give.
    """
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}")
    base = np.asarray(holdout.reference, dtype=np.float64)
    scores = np.asarray(outputs, dtype=np.float64)
    if scores.shape != base.shape and scores.size == base.size and len(scores) == len(base):
        scores = scores.reshape(base.shape)
    if scores.shape != base.shape or not np.isfinite(scores).all():
        return tuple(_unknown(metric, len(base)) for metric in metrics)
    return tuple(METRICS[metric](metric, holdout, scores, base) for metric in metrics)


def allowed_loss(floor: Floor, base: float) -> float:
    """The largest loss that a floor allows, in the metric's own units."""
    return floor.amount * abs(base) if floor.relative else floor.amount


def judge(quality: Quality, floor: Floor) -> Outcome:
    """ok where even the worst end of the loss's interval is allowed, missed where even the best end is not."""
    figures = (quality.value, quality.base, quality.delta, quality.low, quality.high)
    if not math.isfinite(quality.value):
        return "missed"
    if not all(math.isfinite(figure) for figure in figures):
        return "undecided"
    worst, best = (-quality.low, -quality.high) if quality.higher_is_better else (quality.high, quality.low)
    allowed = allowed_loss(floor, quality.base)
    if worst <= allowed:
        return "ok"
    return "missed" if best > allowed else "undecided"


def _auc(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    labels = _labels(metric, holdout)
    value, reference, error = paired_auc(labels > 0.5, _column(scores), _column(base))
    half = float(stats.norm.ppf(_CONFIDENCE)) * error
    return _quality(metric, value, reference, (value - reference - half, value - reference + half), len(labels))


def _logloss(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    labels = _labels(metric, holdout)
    logits = bool(base.min() < 0.0 or base.max() > 1.0)
    own, reference = (_log_losses(labels, _column(part), logits) for part in (scores, base))
    return _paired_mean(metric, own, reference, higher_is_better=False)


def _ndcg(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    if holdout.kind == "retrieval":
        if holdout.queries is None or holdout.relevant is None:
            raise ValueError(f"{metric} needs the rows of the queries and of what is relevant to them")
        gains = tuple(ranking.retrieval_ndcg(part, holdout.queries, holdout.relevant) for part in (scores, base))
    else:
        lists = ranking.lists(holdout.groups, len(base))
        labels = _labels(metric, holdout)
        gains = tuple(ranking.grouped_ndcg(labels, _column(part), lists) for part in (scores, base))
    return _paired_mean(metric, gains[0], gains[1])


def _score_error(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
    """Root of the mean squared error, over the spread of the base's own scores."""
    spread = float(base.std()) or 1.0
    rows = ((scores - base) ** 2).reshape(len(base), -1).mean(axis=1) / spread**2
    means = _fold_means(rows, ranking.lists(holdout.groups, len(base)))
    mean, (low, high) = float(rows.mean()), _mean_interval(means)
    value = math.sqrt(mean)
    return _quality(metric, value, 0.0, (math.sqrt(max(low, 0.0)), math.sqrt(max(high, 0.0))), len(rows), False)


def _agreement(measure: Callable[[Floats, Floats, Sequence[ranking.Rows]], Floats]) -> Metric:
    """A fidelity metric that is 1 where a list is ranked as the base ranks it."""

    def metric_of(metric: str, holdout: Examples, scores: Floats, base: Floats) -> Quality:
        values = measure(scores, base, ranking.lists(holdout.groups, len(base)))
        return _paired_mean(metric, values, np.ones_like(values))

    return metric_of


Metric = Callable[[str, Examples, Floats, Floats], Quality]

METRICS: Mapping[str, Metric] = {
    "auc": _auc,
    "logloss": _logloss,
    "ndcg@10": _ndcg,
    "score_error": _score_error,
    "rank_correlation": _agreement(ranking.rank_correlations),
    "top10_agreement": _agreement(ranking.top10_agreements),
}


def _paired_mean(metric: str, values: Floats, base: Floats, higher_is_better: bool = True) -> Quality:
    if not len(values):
        return _unknown(metric, 0, higher_is_better)
    interval = _mean_interval(values - base)
    return _quality(metric, float(values.mean()), float(base.mean()), interval, len(values), higher_is_better)


def _mean_interval(differences: Floats) -> tuple[float, float]:
    """The t interval of a mean at 95 %; unbounded for a single example, unless all agree by being one and the same."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return (mean, mean) if mean == 0.0 else (-math.inf, math.inf)
    half = float(stats.t.ppf(_CONFIDENCE, count - 1) * differences.std(ddof=1) / math.sqrt(count))
    return mean - half, mean + half


def _fold_means(rows: Floats, lists: Sequence[ranking.Rows]) -> Floats:
    """Means by list, whose rows belong together; by folds of the rows where there are too few lists to say anything."""
    parts = lists if len(lists) >= _FOLDS else np.array_split(np.arange(len(rows)), min(_FOLDS, len(rows)))
    return np.array([float(rows[part].mean()) for part in parts])


def _quality(
    metric: str,
    value: float,
    base: float,
    interval: tuple[float, float],
    examples: int,
    higher_is_better: bool = True,
) -> Quality:
    return Quality(metric, value, base, value - base, *interval, examples, higher_is_better)


def _unknown(metric: str, examples: int, higher_is_better: bool = True) -> Quality:
    nan = math.nan
    return Quality(metric, nan, nan, nan, nan, nan, examples, higher_is_better)


def _labels(metric: str, holdout: Examples) -> Floats:
    if holdout.labels is None:
        raise ValueError(f"{metric} needs labels, and these examples have none")
    return np.asarray(holdout.labels, dtype=np.float64)


def _column(scores: Floats) -> Floats:
    """One score per row: the last of several, as in the probability of the positive class."""
    return scores.reshape(len(scores), -1)[:, -1]


def _log_losses(labels: Floats, scores: Floats, logits: bool) -> Floats:
    if logits:
        return np.logaddexp(0.0, scores) - labels * scores
    p = np.clip(scores, _TINY, 1.0 - _TINY)
    return -(labels * np.log(p) + (1.0 - labels) * np.log1p(-p))
