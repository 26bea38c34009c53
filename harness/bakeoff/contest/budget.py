"""The time that building and measuring may take, shared among the scenarios of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from bakeoff.measure.engine_room import StageFailed

Clock = Callable[[], float]


@dataclass(slots=True)
class Budget:
    """Seconds that may still be spent; None has no end. Time passes from `start` on."""

    seconds: float | None
    clock: Clock = time.monotonic
    _since: float | None = None

    def start(self) -> None:
        """From now on time is spent."""
        if self._since is None:
            self._since = self.clock()

    @property
    def spent(self) -> float:
        """Seconds spent so far."""
        return 0.0 if self._since is None else self.clock() - self._since

    @property
    def left(self) -> float:
        """Seconds left, infinite without a budget, never negative."""
        return math.inf if self.seconds is None else max(0.0, self.seconds - self.spent)

    @property
    def left_or_none(self) -> float | None:
        """Seconds left, None without a budget."""
        return None if self.seconds is None else self.left

    def share(self, parts: int) -> Budget:
        """A budget of its own for the first of `parts` equal parts of what is left."""
        return Budget(None if self.seconds is None else self.left / max(1, parts), self.clock)


def blame_budget(failed: StageFailed, limit_s: float, usual_s: float, doing: str, remedy: str) -> StageFailed:
    """A failure with its true cause: where the budget left less than `usual_s`, a timeout is the budget's fault,
    "over-budget", so that a resumed run tries again; all else stays what it is."""
    if failed.outcome != "timeout" or limit_s >= usual_s:
        return failed
    reason = f"{doing} takes longer than the {limit_s:.0f} s that the budget leaves it"
    return StageFailed(failed.stage, "over-budget", reason, remedy)
