"""Whose fault a regression is: what differs from the pin is replayed by halves, until one part brings the slowdown.

Each half goes into the pinned environment (or the model into it), the artifact is built there, and sessions beside the
baseline say whether it is as slow: the exact sign-flip test at 1 %, and at least half of the slowdown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import SERVICE_TIME, Answer
from bakeoff.decide.drift.flips import sign_flip
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order, StageFailed
from bakeoff.nightly import lock
from bakeoff.nightly.baseline import Pinned, model_digest, where
from bakeoff.nightly.cases import Found
from bakeoff.nightly.session import SideFailed, Sides, play

MODEL = "model"
"""Stands for the model's bytes among the packages."""
ENOUGH = 0.5
"""The share of the slowdown that a part must bring to be the one."""


def culprit(found: Found, answer: Answer, budget: Budget, reporter: Reporter) -> str:
    """The package or model that the slowdown came with, such as "onnxruntime 1.30.0 -> 1.31.1"; else why none is
    named."""
    change = next((each.change for each in answer.figures if each.metric == SERVICE_TIME), None)
    if found.baseline is None or change is None or change <= 0.0:
        return ""
    parts = _parts(found, found.baseline)
    if not parts:
        return "nothing differs that could be replayed: the same packages, the same model"
    if len(parts) == 1:
        return f"{_told(parts[0], found.baseline)}, the only difference"
    try:
        return _Search(found, found.baseline, math.log1p(change), budget, reporter).among(parts)
    except SideFailed as failed:
        return f"not found: {failed}"


def _parts(found: Found, baseline: Pinned) -> list[str]:
    """What differs: the engine's own packages first, for they are the likeliest."""
    engine = found.candidate.backend.partition("@")[0].partition("-")[0]
    names = sorted((name for name, *_ in baseline.differs), key=lambda name: (engine not in name, name))
    question = found.question
    changed = question is not None and model_digest(question.prepared) != found.pin.workload.model
    return names + [MODEL] * changed


def _told(part: str, baseline: Pinned) -> str:
    if part == MODEL:
        return "the model"
    before, now = next((before, now) for name, before, now in baseline.differs if name == part)
    return f"{part} {before or 'absent'} -> {now or 'absent'}"


class _Search:
    """By halves: each is tried in the pinned environment until it is one part."""

    def __init__(self, found: Found, baseline: Pinned, change: float, budget: Budget, reporter: Reporter) -> None:
        self._found, self._baseline, self._change = found, baseline, change
        self._budget, self._reporter = budget, reporter
        self._session_s = 0.0

    def among(self, parts: Sequence[str]) -> str:
        """The part, or what is known of several."""
        if len(parts) == 1:
            return _told(parts[0], self._baseline)
        half = -(-len(parts) // 2)
        for some in (parts[:half], parts[half:]):
            if self._budget.left <= rule.confirming(1) * self._session_s:
                return f"one of {self._all(parts)}: the budget ended before it was found"
            if self._as_slow(some):
                return self.among(some)
        return f"none of {self._all(parts)} by itself: they are slow together, or cannot be replayed apart"

    def _all(self, parts: Sequence[str]) -> str:
        return ", ".join(_told(part, self._baseline) for part in parts)

    def _as_slow(self, parts: Sequence[str]) -> bool:
        """Whether the baseline with these parts as they are now is as slow as what is here now."""
        self._reporter.stage(f"replaying {', '.join(parts)} for {self._found.candidate.id}")
        try:
            sides = self._sides(parts)
        except StageFailed as failed:
            self._reporter.stage(f"{', '.join(parts)}: cannot be replayed: {failed.reason}")
            return False
        begun_s, changes = self._budget.spent, []
        sessions = rule.confirming(1)
        for number in range(1, sessions + 1):
            with self._reporter.quiet():
                changes.append(play(sides, "confirm", number).changes.get(SERVICE_TIME, math.nan))
        self._session_s = (self._budget.spent - begun_s) / sessions
        if not all(map(math.isfinite, changes)):
            return False
        return sign_flip(changes) <= rule.FAMILY and math.fsum(changes) / sessions >= ENOUGH * self._change

    def _sides(self, parts: Sequence[str]) -> Sides:
        """The baseline, and beside it the same with these parts; raises StageFailed."""
        found, question, entry = self._found, self._found.question, self._found.entry
        if question is None or entry is None or self._baseline.prepared is None:
            raise StageFailed("build", "failed", "what it was made of is not here")
        point, here = where(found.candidate.backend, question.scenario)
        now = lock.installed(point, here)
        mixed = lock.mixed(found.candidate.lock, now.lock, set(parts) - {MODEL})
        runner = lock.interpreter_of(mixed, point, now, here)
        prepared = question.prepared if MODEL in parts else self._baseline.prepared
        asked = replace(question, prepared=prepared)
        again = replace(entry, interpreter=runner, version=" ".join(mixed.packages))
        place = artifacts.folder(prepared, again, " ".join(host.cpu_flags()), "")
        if artifacts.kept(place) is None:
            artifacts.make(prepared, again, place, self._log("build"), artifacts.BUILD_LIMIT_S)
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
