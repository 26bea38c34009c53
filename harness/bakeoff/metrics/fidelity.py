"""How far one scoring ranks lists as another does, whatever is relevant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bakeoff.metrics.examples import Examples, Floats, Ints
from bakeoff.metrics.lists import Lists, by_group, in_parts
from bakeoff.metrics.places import first

TOP = 10


def top10_changed(examples: Examples, scores: Floats, base: Floats) -> Floats:
    """The share of the first ten places (of all, in a shorter list) in which another item stands than the base has
    there, for each list; of equal scores the earlier item comes first."""
    pairs = zip(in_parts(examples, scores), in_parts(examples, base), strict=True)
    parts = [_changed(mine, theirs) for mine, theirs in pairs]
    return np.concatenate(parts) if parts else np.empty(0)


def rank_correlations(examples: Examples, scores: Floats, base: Floats) -> Floats:
    """Spearman's correlation within each list that the base ranks at all; 0 where the other scoring is constant."""
    from scipy.stats import rankdata  # half a second of imports that most verbs need not pay

    pairs = [(one, other) for one, other in _pairs(examples, scores, base) if np.ptp(other) > 0.0]
    return np.array([_correlation(rankdata(one), rankdata(other)) for one, other in pairs])


def top10_agreements(examples: Examples, scores: Floats, base: Floats) -> Floats:
    """The share of the base's ten best (half of a shorter list) that are among the other scoring's, for each list."""
    pairs = [(one, other) for one, other in _pairs(examples, scores, base) if len(other) > 1]
    return np.array([_overlap(one, other) for one, other in pairs])


def _changed(mine: Lists, theirs: Lists) -> Floats:
    k = min(TOP, mine.scores.shape[1])
    counted = np.arange(k) < mine.lengths[:, None]
    others = (first(mine.scores, k)[0] != first(theirs.scores, k)[0]) & counted
    shares: Floats = others.sum(axis=1) / counted.sum(axis=1)
    return shares


def _pairs(examples: Examples, scores: Floats, base: Floats) -> Iterator[tuple[Floats, Floats]]:
    """The lists: a row's own values where a row has several (classes, dimensions), else the rows of a group."""
    wide, wide_base = scores.reshape(len(scores), -1), base.reshape(len(base), -1)
    if wide_base.shape[1] > 1:
        return zip(wide, wide_base, strict=True)
    return ((wide[rows, 0], wide_base[rows, 0]) for rows in rows_of_lists(examples.groups, len(base)))


def rows_of_lists(groups: np.ndarray[Any, Any] | None, rows: int) -> list[Ints]:
    """The row numbers of each group; all rows where there are no groups."""
    order, starts, _ = by_group(groups, rows)
    return np.split(order, starts[1:])


def _overlap(one: Floats, other: Floats) -> float:
    """Where scores tie, the places at the edge are shared: any of the tied may be counted."""
    top = min(TOP, max(1, len(other) // 2))
    mine, theirs = (values >= np.partition(values, -top)[-top] for values in (one, other))
    return float(min(top, int((mine & theirs).sum())) / top)


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0.0 else 0.0
