"""One metric of one benchmark through a night, and whether its few first sessions look suspicious.

The screen promises nothing: a false suspicion costs fresh sessions, and only those decide. So it may use whatever
helps: the spread of the nights before, of which three sessions alone have little idea.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bakeoff.decide.drift.answers import Session, Stage, log_change
from bakeoff.decide.drift.flips import Floats
from bakeoff.decide.drift.spread import Spread, tonights

SUSPICIOUS = 0.08
"""The one-sided level of the screen, where the spread is known. That is only ever taken for larger than it was before,
so that one usual benchmark in twenty is flagged, and not one in twelve."""
ENOUGH = 10
"""So many differences make a spread known: four earlier nights of three sessions, and this one's."""
STORED_SPREAD = 0.15
"""What service times of fresh processes on different nights differ by, the standard deviation of their log."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's log changes in a night's sessions and before.

    `threshold` is the practical threshold as a log ratio, None where the metric is only reported. `spread` is by all
    of the night's sessions, `before` without the fresh ones: what came after must not change who was flagged; `known`
    says whether enough nights are behind it. `faults` say which sessions gave no figure to go by, `halved` that in one
    of them one side alone had it. `allowance` is how far all changes may be off together.
    """

    metric: str
    threshold: float | None
    screened: tuple[float, ...]
    fresh: tuple[float, ...]
    before: Spread
    spread: Spread
    faults: tuple[str, ...] = ()
    halved: bool = False
    known: bool = True
    allowance: float = 0.0

    @property
    def deciding(self) -> tuple[float, ...]:
        """The sessions that the estimate comes from: the fresh ones, where there are any, for those were not chosen."""
        return self.fresh or self.screened

    @property
    def estimate(self) -> float:
        """The mean log change, NaN where nothing was measured."""
        return math.fsum(self.deciding) / len(self.deciding) if self.deciding else math.nan

    @property
    def suspicious(self) -> bool:
        """Whether the screen flags it; what is only reported never is."""
        if not self.screened or self.threshold is None:
            return False
        return bool(self.unseen(np.array([self.screened]))[0] < 0.0)

    def unseen(self, screened: Floats) -> Floats:
        """By how much each row of screen sessions would have to be slower still to be flagged; below 0, it is.

        Where the spread is known: the mean is above 0 at the level SUSPICIOUS, and not below the threshold at it.
        Where not: every session is slower (one time in eight by chance, whatever the noise), one beyond the threshold.
        """
        spread, threshold = self.before, self.threshold or 0.0
        if not self.known:
            needed: Floats = np.maximum(-screened.min(axis=1), threshold - screened.max(axis=1))
        else:
            edge = spread.half(screened.shape[1], SUSPICIOUS)
            needed = max(edge, threshold - edge) - screened.mean(axis=1)
        return self.allowance + needed


def series(
    metric: str,
    sessions: Sequence[Session],
    history: Iterable[Sequence[Session]],
    gate: float | None,
    allowance: float = 0.0,
) -> Series:
    """Read a metric; `history` holds earlier nights' sessions, `gate` the practical threshold as a fraction.

    That a session gave none is a fault where it decides, and where the baseline alone has it.
    """
    staged: Mapping[Stage, list[float]] = {"screen": [], "confirm": []}
    faults = []
    for session in sessions:
        fault = _fault(session, metric)
        if not fault:
            staged[session.stage].append(session.changes[metric])
        elif gate is not None or metric in session.changes or _without(session, metric) == "now":
            faults.append(f"{session.stage} session {session.number} {fault}")
    earlier = [[each.changes[metric] for each in night if not _fault(each, metric)] for night in history]
    threshold = None if gate is None else log_change(metric, gate)
    screened, fresh = (tuple(staged[stage]) for stage in ("screen", "confirm"))
    return Series(
        metric,
        threshold,
        screened,
        fresh,
        before=tonights(earlier, [screened]),
        spread=tonights(earlier, [screened, fresh]),
        faults=tuple(faults),
        halved=any(_without(session, metric) for session in sessions),
        known=sum(max(0, len(night) - 1) for night in [*earlier, screened]) >= ENOUGH,
        allowance=allowance,
    )


def stored_allowance(chance: float) -> float:
    """How far a stored service time is off with that chance at most, in one direction, as a log ratio (normal).

    From 1 % on that lets no comparison with stored figures pass as ok: it finds what is slower beyond, and no more.
    """
    return -STORED_SPREAD * float(special.ndtri(chance))


def _fault(session: Session, metric: str) -> str:
    """Why a session's change cannot be used; empty where it can."""
    if metric not in session.changes:
        side = _without(session, metric)
        return f"gave {side}: none" if side else "gave none"
    if not math.isfinite(session.changes[metric]):
        return f"gave {session.changes[metric]}"
    wrong = [f"{side} {figures[metric]}" for side, figures in _sides(session) if not _sound(figures.get(metric, 1.0))]
    return f"gave {' and '.join(wrong)}" if wrong else ""


def _without(session: Session, metric: str) -> str:
    """The side that has no such figure where the other has one; empty where both do, or neither."""
    lacking = [side for side, figures in _sides(session) if not _sound(figures.get(metric, math.nan))]
    return lacking[0] if len(lacking) == 1 else ""


def _sides(session: Session) -> tuple[tuple[str, Mapping[str, float]], ...]:
    return ("baseline", session.baseline), ("now", session.now)


def _sound(figure: float) -> bool:
    return math.isfinite(figure) and figure > 0.0
