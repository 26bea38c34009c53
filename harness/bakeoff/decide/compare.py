"""Costs compared in pairs, round by round: what all candidates of a round have in common cancels.

The unit is the round. A difference's interval is Student's t on the rounds' differences of log cost. The variance is
the larger of the pair's own and that of the whole field (candidates x rounds, two-way), and never under FLOOR, so that
a pair that happens to agree in three rounds claims no small difference; simultaneous over all rivals by Bonferroni.

Which may be the best is told by multiple comparisons with the best (Hsu, 1984); how much a choice may lose against it,
by the posterior of the rounds' means (multivariate t, flat priors), which is the sharper of the two.

Costs come from capacities, and where blocks at nearby rates showed what those are, comparisons heed it: see Bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

ERROR = 0.03
"""The chance that a verdict's claims may be wrong: all intervals hold together with 97 %."""
UNEVEN = 3.0
"""A pair whose own variance is so many times the field's is noisier than the field, and speaks for itself alone."""
DRAWS = 50_000
"""From the posterior, always the same: the same record gives the same verdict."""
FLOOR = 0.01
"""The least standard deviation that a difference of two candidates is taken to have: few rounds may agree by chance."""


WIDEST = 30.0
"""On a log scale: two rounds that differ may allow any ratio, of which floats hold only some."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio minus one, as a fraction: 0.1 is 10 % dearer."""

    value: float
    low: float
    high: float

    @property
    def saved(self) -> Interval:
        """The other way round: what is 25 % dearer is saved at 20 %."""
        return Interval(*(each / (1.0 + each) for each in (self.value, self.low, self.high)))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What blocks showed of a candidate's cost: how far they moved all its rounds (on a log scale), and between what
    costs it lies by them alone.

    Estimates share their model, and so may share its error. Only by what moved one candidate and not the other may
    their costs be off against each other.
    """

    moved: float = 0.0
    low: float = 0.0
    high: float = math.inf

    def over(self, other: Bounds) -> tuple[float, float]:
        """The least and the greatest that log(this cost / that one) can be."""
        return _log(self.low) - _log(other.high), _log(self.high) - _log(other.low)


NO_BOUNDS = Bounds()
ONE = Bounds(0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Apart:
    """A difference of log costs: its mean over the rounds, that mean's standard error, a round's variance paired and
    unpaired, and the variance's degrees of freedom."""

    value: float
    error: float
    variance: float
    unpaired: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Field:
    """The costs of the candidates by round, the chance of error that all intervals together may have, and bounds."""

    costs: Mapping[str, Mapping[int, float]]
    error: float = ERROR
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    _whole: tuple[float, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """What is the same for all pairs."""
        object.__setattr__(self, "_whole", self._field_variance())

    def dearer(self, one: str, other: str) -> Interval | None:
        """How much dearer `one` is than `other`, over the rounds that both had; None with fewer than two."""
        apart = self._apart(one, other)
        if apart is None:
            return None
        quantile = self._quantile(apart.freedom)
        of_brackets = quantile * math.sqrt(max(apart.variance, apart.unpaired))
        mine, theirs = self.bounds.get(one, NO_BOUNDS), self.bounds.get(other, NO_BOUNDS)
        low, high = ends(apart.value, quantile * apart.error, mine.moved - theirs.moved, mine.over(theirs), of_brackets)
        return Interval(*(math.expm1(min(WIDEST, max(-WIDEST, each))) for each in (apart.value, low, high)))

    def may_be_best(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of `names` than which no other of them is cheaper beyond doubt: the best is among them."""

        def beaten(one: str) -> bool:
            losses = (self.dearer(one, other) for other in names if other != one)
            return any(loss is not None and loss.low > 0.0 for loss in losses)

        return tuple(one for one in names if not beaten(one))

    def regret(self, choice: str, names: Iterable[str]) -> float | None:
        """How much dearer `choice` may be than the best of `names`, a fraction that is exceeded with a chance of
        `error`; None where it had too few rounds with one of them. Where brackets moved one of two and not the other,
        their simultaneous interval tells."""
        found, apart = [0.0], []
        for other in names:
            pair = self._apart(choice, other) if other != choice else None
            loss = None if pair is None else self.dearer(choice, other)
            if other != choice and (pair is None or loss is None):
                return None
            if pair is not None and loss is not None:
                apart.append(pair)
                moved = self.bounds.get(choice, NO_BOUNDS).moved != self.bounds.get(other, NO_BOUNDS).moved
                found.append(loss.high if moved else 0.0)
        return max([*found, _posterior_regret(apart, 1.0 - self.error)])

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95 % interval of one candidate's own cost, over its rounds; None with fewer than two."""
        logs = np.log(list(self.costs[name].values()))
        if len(logs) < 2:
            return None
        of_a_round = float(special.stdtrit(len(logs) - 1, 0.975) * logs.std(ddof=1))
        mine = self.bounds.get(name, NO_BOUNDS)
        half = of_a_round / math.sqrt(len(logs))
        low, high = ends(float(logs.mean()), half, mine.moved, mine.over(ONE), of_a_round)
        return math.exp(max(-WIDEST, low)), math.exp(min(WIDEST, high))

    def _apart(self, one: str, other: str) -> _Apart | None:
        """How far the logs of two costs are apart, over the rounds that both had; None with fewer than two."""
        common = sorted(self.costs[one].keys() & self.costs[other].keys())
        if len(common) < 2:
            return None
        logs = np.log([[self.costs[one][r], self.costs[other][r]] for r in common])
        apart = logs[:, 0] - logs[:, 1]
        whole, freedom = self._whole
        own = float(apart.var(ddof=1))
        if own > UNEVEN * max(whole, FLOOR**2):
            freedom = 0
        freedom, variance = max(freedom, len(common) - 1), max(own, whole, FLOOR**2)
        unpaired = float(logs.var(axis=0, ddof=1).sum())
        return _Apart(float(apart.mean()), math.sqrt(variance / len(common)), variance, unpaired, freedom)

    def _quantile(self, freedom: int) -> float:
        rivals = max(1, len(self.costs) - 1)
        return float(special.stdtrit(freedom, 1.0 - self.error / 2.0 / rivals))

    def _field_variance(self) -> tuple[float, int]:
        """The variance of a difference, by what candidate and round leave unexplained; -1 for fewer than three."""
        rounds = sorted(_common(self.costs.values()))
        count, width = len(self.costs), len(rounds)
        if count < 3 or width < 2:
            return -1.0, 0
        logs = np.log([[costs[r] for r in rounds] for costs in self.costs.values()])
        rest = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0, keepdims=True) + logs.mean()
        freedom = (count - 1) * (width - 1)
        return 2.0 * float((rest**2).sum()) / freedom, freedom


def _posterior_regret(apart: Sequence[_Apart], probability: float) -> float:
    """The quantile of the greatest difference: all have the choice in common, and one estimate of the variance."""
    if not apart:
        return 0.0
    dice = np.random.default_rng(0)
    own, choices = dice.standard_normal((DRAWS, len(apart))), dice.standard_normal((DRAWS, 1))
    freedom = min(each.freedom for each in apart)
    scale = np.sqrt(dice.chisquare(freedom, (DRAWS, 1)) / freedom)
    values, errors = (np.array([getattr(each, name) for each in apart]) for name in ("value", "error"))
    losses = values + errors * (own + choices) / math.sqrt(2.0) / scale
    return float(np.expm1(np.quantile(np.maximum(losses.max(axis=1), 0.0), probability)))


def ends(
    value: float, half: float, moved: float, outer: tuple[float, float], of_brackets: float
) -> tuple[float, float]:
    """The ends of an interval: the rounds' own, widened by what moved the value, as far as the brackets allow.

    Each bracket was measured once, as a round is, and not interleaved: `of_brackets` is how far off two may be.
    """
    low = max(value - half - abs(moved), outer[0] - of_brackets)
    high = min(value + half + abs(moved), outer[1] + of_brackets)
    return min(value - half, low), max(value + half, high)


def _log(cost: float) -> float:
    return math.log(cost) if cost > 0.0 else -math.inf


def _common(costs: Iterable[Mapping[int, float]]) -> set[int]:
    rounds = [set(each) for each in costs]
    return set.intersection(*rounds) if rounds else set()
