"""One metric of one benchmark through a night, and whether its few first sessions look suspicious.

The screen promises nothing: a false suspicion costs fresh sessions, and only those decide. So it may use whatever
helps: the spread of all nights known, of which three sessions alone have no idea.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.decide.drift.answers import Session, Stage, log_change
from bakeoff.decide.drift.flips import Floats
from bakeoff.decide.drift.spread import Spread, pooled

SUSPICIOUS = 0.05
"""The one-sided level of the screen, where the spread is known."""
ENOUGH = 10
"""So many degrees of freedom make a spread known: four earlier nights of three sessions, and this one's."""
STORED_ALLOWANCE = 0.35
"""How far stored figures may be off, as a log ratio: 2.33 times what fresh processes on different nights differ by
(15 %). It lets no comparison with stored figures pass as ok: it finds what is slower beyond that, and nothing else."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's log changes in a night's sessions and before.

    `threshold` is the practical threshold as a log ratio, None where the metric is only reported. `spread` is that of
    all nights and all of this one's sessions, `before` that without the fresh ones: what came after must not change who
    was flagged. `faults` say which sessions gave no figure to go by, `allowance` how far all changes may be off
    together.
    """

    metric: str
    threshold: float | None
    screened: tuple[float, ...]
    fresh: tuple[float, ...]
    before: Spread
    spread: Spread
    faults: tuple[str, ...] = ()
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
        if spread.freedom < ENOUGH:
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
    *,
    stored: bool = False,
) -> Series:
    """Read a metric; `history` holds earlier nights' sessions, `gate` the practical threshold as a fraction."""
    staged: Mapping[Stage, list[float]] = {"screen": [], "confirm": []}
    faults = []
    for session in sessions:
        fault = _fault(session, metric)
        if not fault:
            staged[session.stage].append(session.changes[metric])
        elif gate is not None or metric in session.changes:
            faults.append(f"{session.stage} session {session.number} {fault}")
    earlier = [[each.changes[metric] for each in night if not _fault(each, metric)] for night in history]
    threshold = None if gate is None else log_change(metric, gate)
    allowance = STORED_ALLOWANCE if stored else 0.0
    screened, fresh = (tuple(staged[stage]) for stage in ("screen", "confirm"))
    before = pooled([*earlier, screened])
    spread = pooled([*earlier, screened + fresh]) if fresh else before
    return Series(metric, threshold, screened, fresh, before, spread, tuple(faults), allowance)


def _fault(session: Session, metric: str) -> str:
    """Why a session's change cannot be used; empty where it can."""
    if metric not in session.changes:
        return "gave none"
    if not math.isfinite(session.changes[metric]):
        return f"gave {session.changes[metric]}"
    sides = (("baseline", session.baseline), ("now", session.now))
    wrong = [f"{side} {figures[metric]}" for side, figures in sides if not _sound(figures.get(metric, 1.0))]
    return f"gave {' and '.join(wrong)}" if wrong else ""


def _sound(figure: float) -> bool:
    return math.isfinite(figure) and figure > 0.0
