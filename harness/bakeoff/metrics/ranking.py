"""How well lists are ranked by what is relevant: NDCG and recall at K. Equal scores share their places."""

from __future__ import annotations

import numpy as np

from bakeoff.metrics.examples import Examples, Floats
from bakeoff.metrics.lists import Lists, in_parts
from bakeoff.metrics.places import best_gains, shared_gains


def ndcg(k: int, examples: Examples, scores: Floats) -> Floats:
    """NDCG at K of each list in which the gains differ; equal scores share their gains, as scikit-learn has it."""
    return _joined([_ndcg(lists, k) for lists in in_parts(examples, scores)])


def recall(k: int, examples: Examples, scores: Floats) -> Floats:
    """The share of what is relevant that is among the K best, for each list with anything relevant.

    Of those that tie for the last places each counts with the share of them that finds one.
    """
    return _joined([_recall(lists, k) for lists in in_parts(examples, scores)])


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0)


def _ndcg(lists: Lists, k: int) -> Floats:
    k = min(k, lists.scores.shape[1])
    discounts = 1.0 / np.log2(np.arange(k) + 2.0)
    differ = lists.gains.max(axis=1) > np.where(lists.inside, lists.gains, np.inf).min(axis=1)
    gained = shared_gains(lists.scores, lists.gains, k) @ discounts
    values: Floats = gained[differ] / (best_gains(lists.gains, k) @ discounts)[differ]
    return values


def _recall(lists: Lists, k: int) -> Floats:
    relevant = (lists.gains > 0.0).astype(np.float64)
    found = shared_gains(lists.scores, relevant, min(k, lists.scores.shape[1])).sum(axis=1)
    count = relevant.sum(axis=1)
    shares: Floats = found[count > 0] / count[count > 0]
    return shares
