"""How well lists are ranked: NDCG at 10 against labels, and agreement with another ranking of the same lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.intp]]

TOP = 10
_CHUNK = 256


def lists(groups: np.ndarray[Any, Any] | None, rows: int) -> list[Rows]:
    """The row numbers of each list to be ranked: the rows of a group, or all rows where there are no groups."""
    if groups is None:
        return [np.arange(rows)]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def grouped_ndcg(labels: Floats, scores: Floats, groups: Sequence[Rows]) -> Floats:
    """NDCG at 10 of each list in which the labels differ; equal scores share their gains, as scikit-learn has it."""
    return np.array([_ndcg(labels[rows], scores[rows]) for rows in groups if np.ptp(labels[rows]) > 0.0])


def retrieval_ndcg(embeddings: Floats, queries: np.ndarray[Any, Any], relevant: np.ndarray[Any, Any]) -> Floats:
    """NDCG at 10 of each query, by the cosine between its embedding and those of all rows that are no query.

    One row is relevant to a query, so the gain is 1 / log2(1 + rank); a tie counts half of those it ties with.
    """
    unit = embeddings.reshape(len(embeddings), -1)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    corpus = np.setdiff1d(np.arange(len(unit)), queries)
    gains = []
    for start in range(0, len(queries), _CHUNK):
        asked, wanted = queries[start : start + _CHUNK], relevant[start : start + _CHUNK]
        scores = unit[asked] @ unit[corpus].T
        own = np.sum(unit[asked] * unit[wanted], axis=1, keepdims=True)
        others = corpus[None, :] != np.asarray(wanted)[:, None]
        rank = 1.0 + ((scores > own) & others).sum(axis=1) + 0.5 * ((scores == own) & others).sum(axis=1)
        gains.append(np.where(rank <= TOP, 1.0 / np.log2(1.0 + rank), 0.0))
    return np.concatenate(gains) if gains else np.empty(0)


def rank_correlations(scores: Floats, base: Floats, groups: Sequence[Rows]) -> Floats:
    """Spearman's correlation within each list that the base ranks at all; 0 where the other scoring is constant."""
    pairs = [(one, other) for one, other in _pairs(scores, base, groups) if np.ptp(other) > 0.0]
    return np.array([_correlation(rankdata(one), rankdata(other)) for one, other in pairs])


def top10_agreements(scores: Floats, base: Floats, groups: Sequence[Rows]) -> Floats:
    """The share of the base's ten best that the other scoring has among its ten best, for each list of over ten."""
    pairs = [(one, other) for one, other in _pairs(scores, base, groups) if len(other) > 1]
    return np.array([_overlap(one, other) for one, other in pairs])


def _pairs(scores: Floats, base: Floats, groups: Sequence[Rows]) -> list[tuple[Floats, Floats]]:
    """The lists: a row's own values where a row has several (classes, dimensions), else the rows of a group."""
    wide, wide_base = scores.reshape(len(scores), -1), base.reshape(len(base), -1)
    if wide_base.shape[1] > 1:
        return list(zip(wide, wide_base, strict=True))
    return [(wide[rows, 0], wide_base[rows, 0]) for rows in groups]


def _overlap(one: Floats, other: Floats) -> float:
    """Where scores tie, the places at the edge are shared: any of the tied may be counted."""
    top = min(TOP, max(1, len(other) // 2))
    mine, theirs = (values >= np.partition(values, -top)[-top] for values in (one, other))
    return float(min(top, int((mine & theirs).sum())) / top)


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0.0 else 0.0


def _ndcg(labels: Floats, scores: Floats) -> float:
    from sklearn.metrics import ndcg_score

    return float(ndcg_score(labels[None, :], scores[None, :], k=TOP))
