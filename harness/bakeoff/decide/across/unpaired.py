"""Costs that were measured on different hosts, or in different runs, compared: never in pairs.

Round 3 here and round 3 there have nothing in common, so that nothing cancels between them: pairing them by number
would take chance for agreement. Each side is a sample of its own, and the difference of their mean log costs has
Welch's interval (B. L. Welch, Biometrika 34, 1947): the two variances add, whatever the numbers of rounds. It holds
what differs from round to round within a run, and not what differs from day to day on a host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from bakeoff.decide.compare import ERROR, FLOOR, Interval, ends
from bakeoff.decide.evidence import Evidence


@dataclass(frozen=True, slots=True)
class _Sample:
    """The mean of log costs over the rounds, the variance of one round, and how many there were."""

    mean: float
    variance: float
    rounds: int

    @property
    def of_the_mean(self) -> float:
        return self.variance / self.rounds


def dearer(one: Evidence, other: Evidence, error: float = ERROR) -> Interval | None:
    """How much dearer `one` is than `other`, each by its own rounds; None where either has fewer than two.

    What the blocks at nearby rates moved is not shared between hosts, so both sides' count in full.
    """
    mine, theirs = _sample(one), _sample(other)
    if mine is None or theirs is None:
        return None
    value = mine.mean - theirs.mean
    quantile = float(special.stdtrit(_freedom(mine, theirs), 1.0 - error / 2.0))
    half = quantile * math.sqrt(mine.of_the_mean + theirs.of_the_mean)
    of_brackets = quantile * math.sqrt(mine.variance + theirs.variance)
    moved = abs(one.bounds.moved) + abs(other.bounds.moved)
    low, high = ends(value, half, moved, one.bounds.over(other.bounds), of_brackets)
    return Interval(math.expm1(value), math.expm1(low), math.expm1(high))


def _sample(one: Evidence) -> _Sample | None:
    """None with fewer than two rounds. Few rounds may agree by chance: a difference never varies less than FLOOR."""
    logs = np.log(list(one.round_costs.values()))
    if len(logs) < 2:
        return None
    return _Sample(float(logs.mean()), max(float(logs.var(ddof=1)), FLOOR**2 / 2.0), len(logs))


def _freedom(one: _Sample, other: _Sample) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    whole = (one.of_the_mean + other.of_the_mean) ** 2
    return whole / sum(each.of_the_mean**2 / (each.rounds - 1) for each in (one, other))
