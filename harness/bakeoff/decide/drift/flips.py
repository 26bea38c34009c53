"""The exact sign-flip test of a few changes, the bounds that it gives by inversion, and Holm's correction.

Where now is what the baseline was, a session's change is as likely its mirror image: who is launched first and whose
turn comes first is drawn by lot. So each of the 2^k ways to flip the signs of k changes was as likely as what was seen,
whatever the noise looks like, and p is the share of them whose sum is no less (an exact randomisation test; Fisher, The
Design of Experiments, 1935). That asks for fresh lots in each session, from the operating system and no seed: lots that
come again bring back what an order does to one side, and all sessions lean the same way. A sum with the signs of a
subset flipped is no less than the sum seen exactly where that subset's own sum is not above 0: p counts subsets. So its
inversion needs no search: the test refuses a change below the m-th smallest mean of a non-empty subset, m being the
number of flips that the level allows (J. A. Hartigan, Using subsample values as typical values, JASA 64, 1969).

The price is that p comes in steps of 2^-k: seven changes are the fewest that can tell anything at 1 %, and where the
level allows two flips a change is told where all are above 0 but, at most, the one nearest to it. One bad session in
many can hide a change; none can make one up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MOST = 20
"""The most changes that are flipped in all ways: a million of them."""
ROUNDING = 1e-12
"""Of the changes' total: a sum so near to 0 counts as 0, which makes p larger and never smaller."""


def subset_sums(values: Floats) -> Floats:
    """The sums of all subsets of the last axis, the empty one first: its length n becomes 2^n."""
    sums = np.zeros((*values.shape[:-1], 1))
    for number in range(values.shape[-1]):
        sums = np.concatenate([sums, sums + values[..., number : number + 1]], axis=-1)
    return sums


def sign_flip(changes: Sequence[float]) -> float:
    """The one-sided p that changes of mean 0 would be so far above it; 1 for none. At most MOST, or ValueError."""
    values = _checked(changes)
    return float(np.mean(subset_sums(values) <= ROUNDING * np.abs(values).sum()))


def allowed(count: int, level: float) -> int:
    """How many of the 2^count flips may reach what was seen at a level: with fewer than 1 nothing can be told."""
    return math.floor(level * 2.0**count + 1e-9)


def lower_bound(changes: Sequence[float], level: float) -> float | None:
    """Below what the test at `level` refuses every mean; None where so few changes cannot tell at that level."""
    values, steps = _checked(changes), allowed(len(changes), level)
    return float(typical(values, steps)) if steps >= 1 else None


def typical(values: Floats, steps: int) -> Floats:
    """The steps-th smallest mean of a non-empty subset of the last axis.

    It lies among subsets of the `steps` smallest: one that holds the j-th smallest has j - 1 others whose means are not
    above its own, each made by taking a smaller one for its largest, or by leaving its largest out.
    """
    smallest = np.sort(values, axis=-1)[..., :steps]
    sizes = subset_sums(np.ones(smallest.shape[-1]))[1:]
    means = subset_sums(smallest)[..., 1:] / sizes
    found: Floats = np.partition(means, steps - 1, axis=-1)[..., steps - 1]
    return found


def interval(changes: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Both bounds, each at half of what the confidence leaves; None for too few changes."""
    level = (1.0 - confidence) / 2.0
    low, high = lower_bound(changes, level), lower_bound([-each for each in changes], level)
    return None if low is None or high is None else (low, -high)


def holm(chances: Sequence[float]) -> tuple[float, ...]:
    """Each p adjusted for all: refusing where it is at most a level errs anywhere with at most that chance.

    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979; it asks nothing of how
    the tests depend on each other.
    """
    adjusted, worst = [0.0] * len(chances), 0.0
    for place, number in enumerate(sorted(range(len(chances)), key=lambda each: chances[each])):
        worst = max(worst, min(1.0, (len(chances) - place) * chances[number]))
        adjusted[number] = worst
    return tuple(adjusted)


def _checked(changes: Sequence[float]) -> Floats:
    values = np.asarray(changes, np.float64)
    if len(values) > MOST:
        raise ValueError(f"at most {MOST} changes are flipped in all ways, not {len(values)}")
    if not np.all(np.isfinite(values)):
        raise ValueError("a change that is no number cannot be flipped")
    return values
