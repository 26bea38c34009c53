"""A whole night: all benchmarks are screened, the suspicious confirmed in fresh sessions, within a stated time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import Answer, Session, Stage
from bakeoff.nightly import session
from bakeoff.nightly.session import BASELINE, SideFailed, Sides

KEPT = 0.3
"""The share of the budget that the screen leaves to confirming."""
TRIES = 2
"""A session whose engine fails is tried once more: what fails twice has vanished."""
GUESS_S = 10.0
"""What a session takes, until one was seen."""
TOO_SHORT = "nothing was measured: the budget ended before its first session; give it a longer --budget"

Play = Callable[[Sides, Stage, int], Session]


@dataclass(slots=True)
class Case:
    """A benchmark on its way through the night: what is known of it, and what starts its sides (None: it cannot run).

    `stored` holds the baseline's figures from when it was pinned, by metric, for where it cannot be run any more.
    """

    known: rule.Benchmark
    sides: Sides | None = None
    stored: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Scenario and candidate."""
        return f"{self.known.scenario}: {self.known.candidate}"

    def vanished(self, reason: str) -> None:
        """It cannot be measured, now or any more."""
        self.known, self.sides = replace(self.known, sessions=(), reason=reason, vanished=True), None

    def cut_short(self, reason: str) -> None:
        """No more sessions of it can be played; those that were stay, and are too few to pass by."""
        self.known, self.sides = replace(self.known, reason=reason), None

    @property
    def session_s(self) -> float | None:
        """What its sessions took; None before the first."""
        return self.known.seconds / len(self.known.sessions) if self.known.sessions else None


class Night:
    """Plays the cases' sessions; each goes to `keep` as it ends."""

    def __init__(
        self,
        cases: Sequence[Case],
        budget: Budget,
        keep: Callable[[rule.Benchmark, Session], None],
        reporter: Reporter,
        play: Play | None = None,
    ) -> None:
        self.cases = cases
        self._budget, self._keep, self._reporter, self._play = budget, keep, reporter, play or session.play
        self._dice = random.SystemRandom()
        self._took_s: list[float] = []

    def plan(self) -> tuple[str, ...]:
        """What it is going to do, a line each."""
        able = sum(case.sides is not None for case in self.cases)
        fresh = ", ".join(f"{rule.confirming(suspects)} for {suspects}" for suspects in (1, 2, 4, 8))
        lines = [
            f"{able} of {len(self.cases)} benchmarks in {rule.SCREEN_SESSIONS} sessions each; those that look"
            f" suspicious in fresh sessions, so many for so many suspects: {fresh}",
            f"a false alarm in at most {rule.FAMILY:.0%} of nights",
        ]
        if self._budget.seconds is not None:
            minutes, spent = self._budget.left / 60.0, self._budget.spent / 60.0
            ready = f", after {spent:.2g} of getting ready" if spent > 0.0 else ""
            lines.append(
                f"within {minutes:.3g} minutes{ready}, of which the screen leaves {KEPT * minutes:.3g} to confirming"
            )
        return tuple(lines)

    def hold(self) -> tuple[Answer, ...]:
        """Screen, confirm, judge: an answer for each case, in order."""
        self._budget.start()
        kept_s = 0.0 if math.isinf(self._budget.left) else KEPT * self._budget.left
        self._stage(self.cases, "screen", rule.SCREEN_SESSIONS, kept_s)
        pairs = rule.suspects([case.known for case in self.cases])
        flagged = [self.cases[number] for number in dict.fromkeys(number for number, _ in pairs)]
        if flagged:
            self._reporter.stage(f"suspicious: {', '.join(case.name for case in flagged)}")
        self._stage(flagged, "confirm", rule.confirming(len(pairs)), 0.0)
        if not any(case.known.sessions for case in self.cases):
            for case in self.cases:
                if case.sides is not None:
                    case.vanished(TOO_SHORT)
        return rule.judge([case.known for case in self.cases])

    def _stage(self, cases: Sequence[Case], stage: Stage, sessions: int, kept_s: float) -> None:
        """All cases' first session, then all their second, each time in another order, while there is time."""
        for number in range(1, sessions + 1):
            for case in self._dice.sample(cases, len(cases)):
                if case.sides is not None and self._budget.left - kept_s > self._expected_s(case):
                    self._reporter.measuring(f"{case.name} ({stage} {number} of {sessions})", self._budget.left_or_none)
                    self._session(case, stage, number)

    def _session(self, case: Case, stage: Stage, number: int) -> None:
        begun_s = self._budget.spent
        played = self._played(case, stage, number)
        took_s = self._budget.spent - begun_s
        self._took_s.append(took_s)
        if played is not None:
            known = case.known
            case.known = replace(known, sessions=(*known.sessions, played), seconds=known.seconds + took_s)
            self._keep(case.known, played)

    def _played(self, case: Case, stage: Stage, number: int) -> Session | None:
        """One session; a side that fails twice is done with.

        A baseline that ran before in this night is not replaced by stored figures: what was measured beside it is worth
        far more.
        """
        last: SideFailed | None = None
        for _ in range(TRIES):
            if case.sides is None:
                return None
            try:
                with self._reporter.quiet():
                    return _against_stored(case, self._play(case.sides, stage, number))
            except SideFailed as failed:
                last = failed
        if last is None or last.side != BASELINE:
            case.vanished(f"cannot be run any more: {last}")
        elif case.known.sessions:
            case.cut_short(f"its baseline cannot be run any more: {last.failed.reason}")
        else:
            fall_back(case, f"its baseline cannot be run: {last.failed.reason}")
            return self._played(case, stage, number)
        return None

    def _expected_s(self, case: Case) -> float:
        """What the next session takes: its own tell best; no other's keeps one from its first."""
        if case.session_s is not None:
            return case.session_s
        return min([GUESS_S, *self._took_s])


def fall_back(case: Case, reason: str) -> None:
    """From the first session on the stored figures stand for the baseline, if there are any. Earlier nights say nothing
    of how such sessions differ."""
    if not case.stored:
        case.vanished(f"{reason}, and no stored figures of this machine stand in for it")
    elif case.sides is not None:
        case.known = replace(case.known, history=(), stored=True, reason=reason)
        case.sides = replace(case.sides, baseline=None)


def _against_stored(case: Case, played: Session) -> Session:
    """A session of what is here now alone, beside the stored figures."""
    if not case.known.stored:
        return played
    changes = session.changes(case.stored, played.now)
    return replace(played, changes=changes, baseline=dict(case.stored), stored=True)
