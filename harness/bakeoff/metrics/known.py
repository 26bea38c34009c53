"""The metrics by name: what each needs, which way is better, and what one scoring comes to by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from bakeoff.metrics import classes, clicks, ranking
from bakeoff.metrics.examples import Examples, Floats

Needs = Literal["labels", "classes", "relevance", "lists", "nothing"]
Each = Callable[[Examples, Floats], Floats]
Whole = Callable[[Examples, Floats], float]

FIDELITY = ("score_error", "rank_correlation", "top10_agreement")
"""What is judged where nothing is known but the base's own answers."""
SERVED = "top10_changed"
"""What is judged beside a workload's own metrics where lists are served."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`each` gives a value for every example or list, whose mean the metric is; `whole` a value of another kind.

    A metric with neither says how far a scoring is from the base's, which says nothing of the base.
    """

    needs: Needs
    higher_is_better: bool = True
    each: Each | None = None
    whole: Whole | None = None


METRICS: Mapping[str, Metric] = {
    "auc": Metric("labels", whole=clicks.auc),
    "logloss": Metric("labels", False, clicks.log_losses),
    "normalized_entropy": Metric("labels", False, clicks.normalized_entropies),
    "top1": Metric("classes", each=classes.hits),
    "macro_f1": Metric("classes", whole=classes.macro_f1),
    "score_error": Metric("nothing", False),
    "rank_correlation": Metric("nothing"),
    "top10_agreement": Metric("nothing"),
    SERVED: Metric("lists", False),
}
_AT_K: Mapping[str, Callable[[int, Examples, Floats], Floats]] = {"ndcg": ranking.ndcg, "recall": ranking.recall}
_LISTED = f"{', '.join(METRICS)}, ndcg@10 and recall@50 (or at another number)"


def named(metric: str) -> Metric:
    """The metric of this name; raises ValueError where there is none."""
    if metric in METRICS:
        return METRICS[metric]
    family, _, k = metric.partition("@")
    if family not in _AT_K or not re.fullmatch(r"[1-9][0-9]{0,5}", k):
        raise ValueError(f"unknown metric {metric!r}; known: {_LISTED}")
    return Metric("relevance", each=partial(_AT_K[family], int(k)))


def require(metric: str, examples: Examples, shape: Sequence[int]) -> None:
    """Raise ValueError where the metric is unknown, or these examples with outputs of this shape cannot give it."""
    needs, kind = named(metric).needs, examples.kind
    if needs == "classes" and (kind != "classes" or len(shape) < 2):
        raise ValueError(f"{metric} needs a score for each class, and held-out data of the kind 'classes'")
    ranked = kind in ("retrieval", "catalogue")
    if needs in ("lists", "relevance") and not ranked and kind != "rows":
        raise ValueError(f"{metric} needs lists, and held-out data of the kind {kind!r} has none")
    if ranked and (needs == "relevance" or (needs == "lists" and kind == "retrieval")):
        if examples.queries is None or examples.relevant is None:
            raise ValueError(f"{metric} needs the rows of the queries and of what is relevant to them")
    elif needs in ("labels", "classes", "relevance") and examples.labels is None:
        raise ValueError(f"{metric} needs labels, and these examples have none")
    if needs == "relevance" and examples.labels is not None and np.min(examples.labels) < 0.0:
        raise ValueError(f"{metric} needs labels of 0 or more: they are gains")


def own_figures(metrics: Sequence[str], examples: Examples, outputs: np.ndarray[Any, Any]) -> dict[str, float]:
    """What the outputs come to by each metric that needs nothing to compare with; raises ValueError as `require`."""
    scores = np.asarray(outputs, dtype=np.float64)
    found = {}
    for metric in metrics:
        require(metric, examples, scores.shape)
        how = named(metric)
        if how.each is not None:
            values = how.each(examples, scores)
            found[metric] = float(values.mean()) if len(values) else float("nan")
        elif how.whole is not None:
            found[metric] = how.whole(examples, scores)
    return found
