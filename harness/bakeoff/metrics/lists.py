"""The lists that are served: a group's rows, the corpus as a query ranks it, the catalogue as a user's row does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bakeoff.metrics.examples import Examples, Floats, Ints, column, pairs_of

CELLS = 1 << 21
"""How many scores are looked at together: enough for numpy, little for memory."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists side by side, [lists, width]: scores, and gains (0: not relevant). Past `lengths` stand -inf and 0."""

    scores: Floats
    gains: Floats
    lengths: Ints

    @property
    def inside(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which cells are no padding."""
        return np.arange(self.scores.shape[1]) < self.lengths[:, None]


def in_parts(examples: Examples, scores: Floats) -> Iterator[Lists]:
    """All lists, some at a time; two scorings of the same examples come in the same order."""
    if examples.kind == "retrieval":
        return _by_query(examples, scores)
    if examples.kind == "catalogue":
        return _by_user(examples, scores.reshape(len(scores), -1))
    return _by_group(examples, column(scores))


def by_group(groups: np.ndarray[Any, Any] | None, rows: int) -> tuple[Ints, Ints, Ints]:
    """The rows in an order that keeps lists together, where each list starts in it, and its length.

    Rows without groups are one list.
    """
    if groups is None:
        return np.arange(rows), np.zeros(1, np.int64), np.array([rows])
    order = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(groups[order])) + 1])
    return order, starts, np.diff(starts, append=rows)


def _by_group(examples: Examples, scores: Floats) -> Iterator[Lists]:
    """Groups of like length together, so that little is padding."""
    order, starts, lengths = by_group(examples.groups, len(scores))
    labels = np.zeros(len(scores)) if examples.labels is None else np.asarray(examples.labels, np.float64)
    by_length = np.argsort(lengths, kind="stable")
    done = 0
    while done < len(by_length):
        waiting = lengths[by_length[done:]]
        cells = waiting * np.arange(1, len(waiting) + 1)
        some = by_length[done : done + max(1, int(np.searchsorted(cells, CELLS, side="right")))]
        done += len(some)
        places = np.arange(lengths[some].max())
        inside = places < lengths[some][:, None]
        rows = order[np.where(inside, starts[some][:, None] + places, 0)]
        yield Lists(np.where(inside, scores[rows], -np.inf), np.where(inside, labels[rows], 0.0), lengths[some])


def _by_query(examples: Examples, embeddings: Floats) -> Iterator[Lists]:
    """By the cosine between a query's embedding and those of all rows that are no query."""
    unit = embeddings.reshape(len(embeddings), -1)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    queries, relevant = pairs_of(examples)
    corpus = np.setdiff1d(np.arange(len(unit)), queries)
    others = unit[corpus].T
    for some in _parts(len(queries), len(corpus)):
        gains = (corpus == relevant[some][:, None]).astype(np.float64)
        yield Lists(unit[queries[some]] @ others, gains, np.full(len(gains), len(corpus)))


def _by_user(examples: Examples, scores: Floats) -> Iterator[Lists]:
    users, relevant = pairs_of(examples)
    for some in _parts(*scores.shape):
        mine = slice(*np.searchsorted(users, (some.start, some.stop)))
        gains = np.zeros((some.stop - some.start, scores.shape[1]))
        gains[users[mine] - some.start, relevant[mine]] = 1.0
        yield Lists(scores[some], gains, np.full(len(gains), scores.shape[1]))


def _parts(lists: int, width: int) -> Iterator[slice]:
    step = max(1, CELLS // max(1, width))
    return (slice(start, min(start + step, lists)) for start in range(0, lists, step))
