"""Intervals of what is no mean over examples: by drawing the examples anew, both sides of a comparison alike."""

from __future__ import annotations

import numpy as np

from bakeoff.metrics.classes import weighted_f1
from bakeoff.metrics.examples import Ints

DRAWS = 2000
_SEED = 0


def macro_f1_interval(right: Ints, guessed: Ints, base: Ints) -> tuple[float, float]:
    """The 95 % percentile interval of a macro-F1 less the base's on the same examples.

    Examples of one right class and the same two guesses count alike, so that only their numbers are drawn.
    """
    cells, counts = np.unique(np.stack([right, guessed, base]), axis=1, return_counts=True)
    drawn = np.random.default_rng(_SEED).multinomial(len(right), counts / len(right), size=DRAWS).astype(np.float64)
    deltas = weighted_f1(cells[0], cells[1], drawn) - weighted_f1(cells[0], cells[2], drawn)
    low, high = np.percentile(deltas, (2.5, 97.5))
    return float(low), float(high)
