"""How far sessions of one benchmark differ from each other: by the nights before, and by how restless tonight is."""

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
LAST = 30
"""So many nights before tell of tonight: a machine, or what else runs on it, does not stay as it was."""
PRIOR = 5
"""What all nights before count for beside tonight's own sessions, in degrees of freedom, where tonight is the noisier.
More believe in a quiet that is over, fewer call usual nights inconclusive for one session that was out. Simulated, at
spreads of 1 and 2 %, normal and heavy-tailed: of nights three times as noisy as their history that pass as ok, at most
20 % would have passed with a slowdown of the MDE that they print; of six times as noisy ones, few of which pass, 22 to
34 %. A usual night of three sessions at 2 % is inconclusive once in 200.
"""


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


def tonights(before: Sequence[Sequence[float]], stages: Sequence[Sequence[float]]) -> Spread:
    """Tonight's spread, by its own session values, stage by stage, and the last nights' before.

    Each stage is about its own mean: the screen that flagged something is off, or it would not have.

    Their pooled one, unless tonight is noisier: then the posterior of tonight's variance, where PRIOR degrees of
    freedom speak for the nights before (scaled inverse chi-squared; G. K. Smyth, Linear models and empirical Bayes
    methods, SAGMB 3, 2004). Only ever up: a night that seems quiet has few sessions that agree by chance.
    """
    usual, own = pooled(last := [night for night in before if len(night) > 1][-LAST:]), pooled(stages)
    every = pooled([*last, *stages])
    if not usual.freedom or not own.freedom:
        return every
    prior = min(PRIOR, usual.freedom)
    freedom = prior + own.freedom
    value = math.sqrt((prior * usual.value**2 + own.freedom * own.value**2) / freedom)
    return Spread(value, freedom) if value > every.value else every


def robust(values: Floats) -> float:
    """The root mean square about 0, of values cut at CLIP: now and then a session is out by ten times the rest.

    Values that mostly are the same have no such scale, and are not cut.
    """
    edge = CLIP * float(np.median(np.abs(values))) / OF_THE_MEDIAN
    kept = np.clip(values, -edge, edge) if edge > 0.0 else values
    return float(np.sqrt(np.mean(kept**2)))
