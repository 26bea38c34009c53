"""The minimum detectable effect: the smallest change that is found in four of five cases.

No closed form knows a test whose p comes in steps, after a screen, on noise with heavy tails. So the same DRAWS nights
are drawn each time, of noise as heavy-tailed as Student's t with TAILS degrees of freedom, scaled to the spread in
hand as `pooled` reads it, and each night is asked how large a change would have to be to be found in it. That every
step is one-sided and moves with the change makes the answer exact for a night: the largest of what the steps need. With
the spread read so, normal, Laplace, contaminated and t-distributed noise of the same spread agree within 15 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bakeoff.decide.drift.flips import Floats, allowed, typical
from bakeoff.decide.drift.screen import Series
from bakeoff.decide.drift.spread import Spread, pooled

POWER = 0.8
DRAWS = 2000
FEWEST = 250
TAILS = 3
UNLUCKY = 0.2
"""The chance that a spread is above what it is taken for where that must not be too small."""
_CELLS = 1 << 22
"""No more subset means than that at once: long tests at loose levels are drawn fewer times, and FEWEST at least."""


@dataclass(frozen=True, slots=True)
class Nights:
    """Noise of nights, in spreads: the screen's sessions (nights x sessions), and of the fresh ones the mean and the
    smallest change that their test finds."""

    screened: Floats
    fresh: Floats
    needed: Floats


@lru_cache(maxsize=64)
def nights(screened: int, fresh: int, steps: int) -> Nights:
    """Nights of `screened` and `fresh` sessions whose test allows `steps` flips."""
    rows = max(1, _CELLS >> min(steps, fresh))
    count = max(FEWEST, min(DRAWS, rows))
    noise = np.random.default_rng(0).standard_t(TAILS, (count, screened + fresh))
    noise /= _unit()
    first, then = noise[:, :screened], noise[:, screened:]
    needed = np.concatenate([-typical(then[i : i + rows], steps) for i in range(0, count, rows)])
    return Nights(first, then.mean(axis=1), needed)


@lru_cache(maxsize=1)
def _unit() -> float:
    """The spread of such noise before it is scaled, as nights of three sessions show it."""
    return pooled(np.random.default_rng(1).standard_t(TAILS, (20 * DRAWS, 3))).value


def detected(series: Series, screened: int, fresh: int, level: float) -> float | None:
    """The log change that the whole rule confirms: flagged by the screen, found at `level` by so many fresh sessions,
    and their mean above the threshold. None where the test cannot tell at that level, or no spread is known.

    The spread is taken at what it is above with the chance UNLUCKY: few sessions agree by chance.
    """
    spread, steps = series.spread, allowed(fresh, level)
    if steps < 1 or not spread.freedom:
        return None
    sure, drawn = spread.upper(UNLUCKY), nights(screened, fresh, steps)
    tested = np.maximum(sure * drawn.needed, (series.threshold or 0.0) - sure * drawn.fresh) + series.allowance
    return float(np.quantile(np.maximum(tested, series.unseen(sure * drawn.screened)), POWER))


def detectable_by_t(spread: Spread, sessions: int, level: float) -> float | None:
    """The same of a t-test by the pooled spread, for what no sign-flip test decides; None where no spread is known."""
    if not spread.freedom or not sessions:
        return None
    return spread.half(sessions, level) + spread.half(sessions, 1.0 - POWER)
