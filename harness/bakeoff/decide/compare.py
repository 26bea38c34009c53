"""Costs compared in pairs, round by round: what all candidates of a round have in common cancels.

The unit is the round. A difference's interval is Student's t on the rounds' differences of log cost. The variance is
the larger of the pair's own and that of the whole field (candidates x rounds, two-way), so that a pair that happens to
agree in three rounds claims nothing; simultaneous over all rivals by Bonferroni.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

ERROR = 0.03
"""The chance that a verdict's claims may be wrong: all intervals hold together with 97 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio minus one, as a fraction: 0.1 is 10 % dearer."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Field:
    """The costs of the candidates by round, and the chance of error that all intervals together may have.

    `slack` widens a candidate's intervals, on a log scale: what all its rounds may be off by alike.
    """

    costs: Mapping[str, Mapping[int, float]]
    error: float = ERROR
    slack: Mapping[str, float] = field(default_factory=dict)

    def dearer(self, one: str, other: str) -> Interval | None:
        """How much dearer `one` is than `other`, over the rounds that both had; None with fewer than two."""
        common = sorted(self.costs[one].keys() & self.costs[other].keys())
        if len(common) < 2:
            return None
        logs = np.array([math.log(self.costs[one][r] / self.costs[other][r]) for r in common])
        own, whole, freedom = float(logs.var(ddof=1)), *self._field_variance()
        freedom = max(freedom, len(logs) - 1) if whole >= 0.0 else len(logs) - 1
        half = self._quantile(freedom) * math.sqrt(max(own, whole) / len(logs))
        half += self.slack.get(one, 0.0) + self.slack.get(other, 0.0)
        mean = float(logs.mean())
        return Interval(math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half))

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95 % interval of one candidate's own cost, over its rounds; None with fewer than two."""
        logs = np.log(list(self.costs[name].values()))
        if len(logs) < 2:
            return None
        half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
        half += self.slack.get(name, 0.0)
        return math.exp(float(logs.mean()) - half), math.exp(float(logs.mean()) + half)

    def _quantile(self, freedom: int) -> float:
        rivals = max(1, len(self.costs) - 1)
        return float(stats.t.ppf(1.0 - self.error / 2.0 / rivals, freedom))

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


def _common(costs: Iterable[Mapping[int, float]]) -> set[int]:
    rounds = [set(each) for each in costs]
    return set.intersection(*rounds) if rounds else set()
