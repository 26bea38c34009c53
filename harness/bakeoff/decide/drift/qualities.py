"""A quality metric now beside the baseline's answers to the same examples, as one figure of the night's many.

quality.py's intervals are of 95 %, each for itself. A night scores many, and no more than SCORED of nights may tell of
any loss that is none: an interval is widened to SCORED over all of them at each of its ends (Bonferroni), as if it were
Student's with as few degrees of freedom as any metric has.
"""

from __future__ import annotations

import math

from scipy import special

from bakeoff.decide.drift.answers import QUALITY, Figure, Status
from bakeoff.decide.drift.rule import SCORED
from bakeoff.decide.quality import worst_loss
from bakeoff.store.record import Quality

_HALF = 0.025
"""The chance that the truth is beyond one end of quality.py's intervals."""
_FEWEST = 20
"""So many folds or lists are behind an interval, or all examples where those are fewer."""
_POWER = 0.8


def judged(found: Quality, allowed: float, among: int, decides: bool) -> Figure:
    """A scored metric; `allowed` is the largest loss that is none, `among` how many figures the night scores.

    It has regressed where it lost more than that and the widened interval holds losses alone, improved the other way
    round, and is ok where the end of its own interval of 95 % is allowed. What could not be computed is inconclusive.
    """
    numbers = (found.value, found.base, found.delta, found.low, found.high)
    if not all(map(math.isfinite, numbers)):
        return unknown(found.metric, "its answers to the held-out data are no numbers", allowed if decides else None)
    loss, least, most = _widened(found, among)
    status: Status = "ok"
    if least > 0.0 and loss > allowed:
        status = "regression"
    elif worst_loss(found) > allowed:
        status = "inconclusive"
    elif most < 0.0 and -loss > allowed:
        status = "improved"
    reason = f"a loss of {worst_loss(found):.2g} is not ruled out" if status == "inconclusive" else ""
    mde = max(allowed, loss - least) + float(special.ndtri(_POWER)) * (found.high - found.low) / _ends(_HALF)
    return Figure(f"{QUALITY}:{found.metric}", status, loss, least, most, mde,
                  gate=allowed if decides else None, baseline=found.base, now=found.value, reason=reason)  # fmt: skip


def unknown(metric: str, reason: str, gate: float | None) -> Figure:
    """A metric that could not be compared: where it decides, nothing passes."""
    return Figure(f"{QUALITY}:{metric}", "inconclusive", gate=gate, reason=reason)


def _ends(chance: float) -> float:
    """From one end of a normal interval to the other, in standard errors."""
    return -2.0 * float(special.ndtri(chance))


def _widened(found: Quality, among: int) -> tuple[float, float, float]:
    """The loss, and the least and the largest that `among` such intervals leave open together."""
    freedom = max(1, min(found.examples, _FEWEST) - 1)
    wider = float(special.stdtrit(freedom, SCORED / among) / special.stdtrit(freedom, _HALF))
    low, high = found.delta - wider * (found.delta - found.low), found.delta + wider * (found.high - found.delta)
    return (-found.delta, -high, -low) if found.higher_is_better else (found.delta, low, high)
