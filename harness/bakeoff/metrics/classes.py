"""How often the best of several classes is the right one: accuracy, and the F1 of the classes' mean."""

from __future__ import annotations

import numpy as np

from bakeoff.metrics.examples import Examples, Floats, Ints


def predicted(scores: Floats) -> Ints:
    """The class with the best score in each row; the first of those that tie."""
    best: Ints = scores.reshape(len(scores), -1).argmax(axis=1)
    return best


def truth(examples: Examples) -> Ints:
    """The right class of each row."""
    assert examples.labels is not None
    return np.asarray(examples.labels).astype(np.int64)


def hits(examples: Examples, scores: Floats) -> Floats:
    """1 for each row whose best class is the right one, else 0."""
    return np.equal(predicted(scores), truth(examples)).astype(np.float64)


def macro_f1(examples: Examples, scores: Floats) -> float:
    """The mean F1 of the classes that the labels hold."""
    right, guessed = truth(examples), predicted(scores)
    return float(weighted_f1(right, guessed, np.ones((1, len(right))))[0])


def weighted_f1(right: Ints, guessed: Ints, weights: Floats) -> Floats:
    """The macro-F1 by draw, of rows that count as often as `weights` [draws, rows] says; over classes that count."""
    classes = np.unique(right)
    is_right, is_guessed = right[:, None] == classes, guessed[:, None] == classes
    both, there, claimed = (weights @ each.astype(np.float64) for each in (is_right & is_guessed, is_right, is_guessed))
    f1 = 2.0 * both / np.maximum(there + claimed, np.finfo(float).tiny)
    means: Floats = f1.sum(axis=1, where=there > 0.0) / (there > 0.0).sum(axis=1)
    return means
