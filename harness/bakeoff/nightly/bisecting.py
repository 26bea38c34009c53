"""Whose fault a regression is: what differs from the pin is replayed by halves, until the parts that bring it are left.

Each half goes into the pinned environment (or the model into it), the artifact is built there, and sessions beside the
baseline say whether it is as slow. Where neither half is, what is missing lies in both: each is searched with the other
in place (A. Zeller, Yesterday, my program worked. Today, it does not. Why?, ESEC/FSE 1999). What cannot run so is not
slow, which leaves together what cannot be apart.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scipy import stats

from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift.answers import NOT_FOUND, SERVICE_TIME, Answer
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order, StageFailed
from bakeoff.nightly import lock
from bakeoff.nightly.baseline import Pinned, as_pinned, same_model, where
from bakeoff.nightly.cases import Found
from bakeoff.nightly.session import NOW, SideFailed, Sides, play

MODEL, KNOBS = "model", "knobs"
"""Stand for the model's bytes and the setting's knobs among the packages."""
ENOUGH = 0.5
"""The share of the slowdown that parts must bring to be those that bring it."""
_TOLD = {MODEL: "the model", KNOBS: "the knobs of its setting"}
FEWEST, MOST = 3, 12
"""Sessions of a replay."""
_ERROR = 0.01
"""How often a replay may take what is as slow for what is not, or the other way round, where MOST are enough for it."""

Slow = Callable[[Sequence[str]], bool]
"""Whether the baseline with these parts as they are now is as slow; raises OutOfTime."""


class OutOfTime(Exception):  # noqa: N818 - a result, not an error
    """The budget ended before the search did; what it looks for is among `parts`."""

    def __init__(self, parts: Sequence[str] = ()) -> None:
        super().__init__(*parts)
        self.parts = parts


def culprit(found: Found, answer: Answer, budget: Budget, reporter: Reporter) -> str:
    """What the slowdown came with, such as "onnxruntime 1.30.0 -> 1.31.1"; else NOT_FOUND and why."""
    figure = next((each for each in answer.figures if each.metric == SERVICE_TIME), None)
    if found.baseline is None or figure is None or figure.status != "regression" or figure.change is None:
        return f"{NOT_FOUND}only a longer service time is replayed"
    parts = _parts(found, found.baseline)
    if not parts:
        return f"{NOT_FOUND}nothing differs that could be replayed: the same packages, the same model, the same knobs"
    told = {part: _told(part, found.baseline) for part in parts}
    replays = _Replays(found, found.baseline, answer, math.log1p(figure.change), budget, reporter)
    try:
        guilty = search(parts, replays.slow) if len(parts) > 1 or replays.slow(parts) else ()
    except OutOfTime as ended:
        return f"{NOT_FOUND}the budget ended with {', '.join(told[part] for part in ended.parts or parts)} left"
    except SideFailed as failed:
        return f"{NOT_FOUND}{failed}"
    if guilty:
        return " together with ".join(told[part] for part in guilty)
    if len(parts) == 1 and replays.failed:
        return f"{NOT_FOUND}{replays.failed}"
    why = f"; {replays.failed}" if replays.failed else ""
    return f"{NOT_FOUND}the baseline is not as slow with {', '.join(told.values())}{why}"


def search(parts: Sequence[str], slow: Slow, beside: Sequence[str] = ()) -> tuple[str, ...]:
    """The fewest of the parts that bring it, with those `beside` in place; none where not even all do.

    Raises OutOfTime with those that are left.
    """
    if len(parts) == 1:
        return tuple(parts)
    half = -(-len(parts) // 2)
    first, second = parts[:half], parts[half:]
    try:
        for some in (first, second):
            if slow([*some, *beside]):
                return search(some, slow, beside)
        if not (beside or slow(parts)):
            return ()
    except OutOfTime as ended:
        raise OutOfTime(ended.parts or parts) from None
    return search(first, slow, [*beside, *second]) + search(second, slow, [*beside, *first])


def needed(changes: Sequence[float], change: float) -> int:
    """How many sessions tell a slowdown (log) from none, by how the sessions that confirmed it scatter."""
    if len(changes) < 2:
        return MOST
    bound = float(stats.t.ppf(1.0 - _ERROR / 2.0, len(changes) - 1)) * statistics.stdev(changes)
    return min(MOST, max(FEWEST, math.ceil((bound / (ENOUGH * change)) ** 2)))


def _parts(found: Found, baseline: Pinned) -> list[str]:
    """What differs: the engine's own packages first, for they are the likeliest."""
    engine = found.candidate.backend.partition("@")[0].partition("-")[0]
    names = sorted((name for name, *_ in baseline.differs), key=lambda name: (engine not in name, name))
    pinned, question, entry = found.candidate, found.question, found.entry
    if question is None or entry is None:
        return names
    other = {
        MODEL: not same_model(found.pin, pinned, question.prepared),
        KNOBS: not pinned.has_knobs(entry.candidate.setting),
    }
    return names + [part for part, changed in other.items() if changed]


def _told(part: str, baseline: Pinned) -> str:
    if part in _TOLD:
        return _TOLD[part]
    before, now = next((before, now) for name, before, now in baseline.differs if name == part)
    return f"{part} {before or 'absent'} -> {now or 'absent'}"


class _Replays:
    """Plays the baseline with some parts as they are now, beside the baseline; `failed` says why one could not be."""

    def __init__(
        self, found: Found, baseline: Pinned, answer: Answer, change: float, budget: Budget, reporter: Reporter
    ) -> None:
        self._found, self._baseline, self._change = found, baseline, change
        self._budget, self._reporter = budget, reporter
        confirmed = [each.changes[SERVICE_TIME] for each in answer.sessions if each.stage == "confirm"]
        self._sessions = needed(confirmed, change)
        self._session_s = answer.seconds / max(1, len(answer.sessions))
        self.failed = ""

    def slow(self, parts: Sequence[str]) -> bool:
        """Whether it is as slow as what is here now; what cannot be replayed is not. Raises OutOfTime, and SideFailed
        where it is the baseline that does not run."""
        if self._budget.left <= self._sessions * self._session_s:
            raise OutOfTime
        self._reporter.stage(f"replaying {', '.join(parts)} for {self._found.candidate.id}")
        try:
            changes = self._changes(self._sides(parts))
        except StageFailed as failed:
            if not self._budget.left:
                raise OutOfTime from None
            return self._cannot(parts, failed)
        except SideFailed as failed:
            if failed.side != NOW:
                raise
            return self._cannot(parts, failed.failed)
        return all(map(math.isfinite, changes)) and statistics.median(changes) >= ENOUGH * self._change

    def _changes(self, sides: Sides) -> list[float]:
        with self._reporter.quiet():
            played = [play(sides, "confirm", number) for number in range(1, self._sessions + 1)]
        return [each.changes.get(SERVICE_TIME, math.nan) for each in played]

    def _cannot(self, parts: Sequence[str], failed: StageFailed) -> bool:
        self.failed = f"{', '.join(parts)} cannot be replayed: {failed.reason}"
        self._reporter.stage(self.failed)
        return False

    def _sides(self, parts: Sequence[str]) -> Sides:
        """The baseline, and beside it the same with these parts; raises StageFailed."""
        found, question, entry = self._found, self._found.question, self._found.entry
        if question is None or entry is None or self._baseline.prepared is None:
            raise StageFailed("build", "failed", "what it was made of is not here")
        point, here = where(found.candidate.backend, question.scenario)
        now = lock.installed(point, here)
        mixed = lock.mixed(found.candidate.lock, now.lock, set(parts) - {MODEL, KNOBS})
        runner = lock.interpreter_of(mixed, point, now, here, limit_s=self._budget.left)
        prepared = question.prepared if MODEL in parts else self._baseline.prepared
        asked = replace(question, prepared=prepared)
        again = as_pinned(entry, found.candidate, runner, " ".join(mixed.packages))
        if KNOBS in parts:
            again = replace(again, candidate=entry.candidate, build_key=entry.build_key)
        place = artifacts.folder(prepared, again, " ".join(host.cpu_flags()), "")
        artifacts.made(prepared, again, place, self._log("build"), self._budget.left)
        mine = order(replace(asked, entries=(again,)), found.candidate.id, place, self._log("replayed"))
        return Sides(question.scenario, mine, self._baseline_order())

    def _baseline_order(self) -> Order:
        sides = self._found.case.sides
        if sides is None or sides.baseline is None:
            raise StageFailed("load", "failed", "its baseline cannot be run")
        return sides.baseline

    def _log(self, which: str) -> Path:
        sides = self._found.case.sides
        folder = sides.now.log.parent if sides else Path()
        return log_path(folder, self._found.pin.name, self._found.candidate.id, which)
