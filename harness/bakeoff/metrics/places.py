"""Who stands in the first places of lists, and what stands there where equal scores share their places."""

from __future__ import annotations

import numpy as np

from bakeoff.metrics.examples import Floats, Ints


def first(scores: Floats, k: int) -> tuple[Ints, Ints]:
    """The items in the first K places of each list, best first, of equal scores the earlier item; [lists, k].

    And the lists in which more items tie for the last of these places than there are places left.
    """
    edge = np.partition(scores, -k, axis=1)[:, -k, None]
    chosen = scores >= edge
    crowded = np.flatnonzero(chosen.sum(axis=1) > k)
    if len(crowded):
        above, tied = scores[crowded] > edge[crowded], scores[crowded] == edge[crowded]
        free = k - above.sum(axis=1, keepdims=True)
        chosen[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= free))
    items = np.nonzero(chosen)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1), crowded


def shared_gains(scores: Floats, gains: Floats, k: int) -> Floats:
    """The gains in the first K places of each list, [lists, k]; those that tie have their mean gain in each of theirs.

    For the last places that is the mean over all that tie for them, whether they find a place or not.
    """
    items, crowded = first(scores, k)
    top = np.take_along_axis(scores, items, axis=1)
    shared = _mean_of_ties(top, np.take_along_axis(gains, items, axis=1))
    if len(crowded):
        last = top[crowded, -1:]
        tied = scores[crowded] == last
        of_last = np.where(tied, gains[crowded], 0.0).sum(axis=1, keepdims=True) / tied.sum(axis=1, keepdims=True)
        shared[crowded] = np.where(top[crowded] == last, of_last, shared[crowded])
    return shared


def best_gains(gains: Floats, k: int) -> Floats:
    """The K largest gains of each list, largest first, [lists, k]; gains are 0 or more, and mostly 0."""
    rows, items = np.nonzero(gains)
    values = gains[rows, items]
    order = np.lexsort((-values, rows))
    rows, values = rows[order], values[order]
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    found = np.zeros((len(gains), k))
    kept = places < k
    found[rows[kept], places[kept]] = values[kept]
    return found


def _mean_of_ties(top: Floats, gains: Floats) -> Floats:
    """The mean gain of those that tie, in each of their places; `top` is sorted by row."""
    fresh = np.zeros(top.shape, np.int64)
    fresh[:, 1:] = top[:, 1:] != top[:, :-1]
    ties = np.cumsum(fresh, axis=1) + np.arange(len(top))[:, None] * top.shape[1]
    sums = np.bincount(ties.ravel(), gains.ravel(), top.size)
    counts = np.bincount(ties.ravel(), minlength=top.size)
    means: Floats = (sums / np.maximum(counts, 1))[ties]
    return means
