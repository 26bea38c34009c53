"""How far sessions of one benchmark differ from each other, by all nights that there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bakeoff.decide.drift.flips import Floats

CLIP = 3.0
"""What lies farther out than so many of the median's standard deviations counts as if it lay there."""
OF_THE_MEDIAN = float(special.ndtri(0.75))
"""The median distance of a normal variable from its mean, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation of a session's log change, and the degrees of freedom behind it (0: nothing is known)."""

    value: float = math.nan
    freedom: int = 0

    def half(self, sessions: int, chance: float) -> float:
        """How far the mean of so many sessions lies above its truth with that chance at most, by Student's t."""
        return float(special.stdtrit(self.freedom, 1.0 - chance)) * self.value / math.sqrt(sessions)

    def upper(self, chance: float) -> float:
        """What the standard deviation is above with that chance at most (chi-squared)."""
        return self.value * math.sqrt(self.freedom / float(special.chdtri(self.freedom, 1.0 - chance)))


def pooled(nights: Iterable[Sequence[float]]) -> Spread:
    """From the nights' session values, each about its own night's mean, so that a change is not taken for noise.

    Nights of one value tell nothing.
    """
    known = [night for night in nights if len(night) > 1]
    if not known:
        return Spread()
    values, counts = np.concatenate(known), np.array([len(night) for night in known])
    means = np.add.reduceat(values, np.cumsum(counts) - counts) / counts
    apart = np.repeat(np.sqrt(counts / (counts - 1)), counts) * (values - np.repeat(means, counts))
    return Spread(robust(apart), int((counts - 1).sum()))


def robust(values: Floats) -> float:
    """The root mean square about 0, of values cut at CLIP: now and then a session is out by ten times the rest.

    Values that mostly are the same have no such scale, and are not cut.
    """
    edge = CLIP * float(np.median(np.abs(values))) / OF_THE_MEDIAN
    kept = np.clip(values, -edge, edge) if edge > 0.0 else values
    return float(np.sqrt(np.mean(kept**2)))
