"""A file of pytest-benchmark's as the baseline: nothing of it can be run, so its figures stand in, with wide bounds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.plan import Question
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import SERVICE_TIME, Answer
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.lane import LOAD
from bakeoff.nightly import here
from bakeoff.nightly.against import counted
from bakeoff.nightly.cases import Check
from bakeoff.nightly.night import Case
from bakeoff.nightly.session import Sides
from bakeoff.nightly.stored_figures import StoredFigures, read_pytest_benchmark
from bakeoff.scenario import Scenario


def _digest(of: bytes) -> str:
    return hashlib.sha256(of).hexdigest()[:16]


class Figures:
    """The benchmarks of a file that are these scenarios' (and, where any are named, of these candidates).

    Raises UserError for a file that is none, and where none of its benchmarks is asked for.
    """

    def __init__(self, path: Path, scenarios: Sequence[Scenario], candidates: Collection[str] = ()) -> None:
        self._path = path
        try:
            stored = read_pytest_benchmark(path)
            self._digest = _digest(path.read_bytes())
        except UserError as error:
            raise UserError(f"--baseline {error}; pins are named by their folder") from None
        self._scenarios, self._stored = [], {}
        for scenario in scenarios:
            begins = f"{scenario.name}: "
            mine = {name.removeprefix(begins): each for name, each in stored.items() if name.startswith(begins)}
            if kept := {name: each for name, each in mine.items() if name in candidates or not candidates}:
                self._scenarios.append(scenario)
                self._stored[scenario.name] = kept
        self._others = len(stored) - sum(map(len, self._stored.values()))
        self._require(stored, candidates)

    @property
    def said(self) -> str:
        """The file, and how much of it is not asked for."""
        mine = counted(sum(map(len, self._stored.values())), self._stored)
        others = f" ({self._others} others in the file are not asked for)" if self._others else ""
        return f"{mine} beside the stored figures of {self._path}{others}"

    @property
    def digests(self) -> Mapping[str, str]:
        """The file's, and its benchmarks'."""
        own = {
            f"{scenario}: {name}": _digest(repr(each).encode())
            for scenario, kept in self._stored.items()
            for name, each in kept.items()
        }
        return dict.fromkeys(self._stored, self._digest) | own

    def cases(self, check: Check) -> list[Case]:
        """One for each of the file's benchmarks that is asked for."""
        return [case for scenario in self._scenarios for case in self._of(scenario, check)]

    def culprit(self, number: int, answer: Answer, budget: Budget, reporter: Reporter) -> str:
        """Figures do not tell what made them."""
        return ""

    def _require(self, stored: Collection[str], candidates: Collection[str]) -> None:
        for name in candidates:
            if not any(name in each for each in self._stored.values()):
                raise UserError(f"--candidate {name}: is in no asked benchmark of {self._path}")
        if not self._stored:
            raise UserError(
                f"--baseline {self._path}: holds no benchmark of the scenarios asked; it has {', '.join(stored)}"
            )

    def _of(self, scenario: Scenario, check: Check) -> Iterator[Case]:
        stored = self._stored[scenario.name]
        unlike = {name: reason for name, each in stored.items() if (reason := incomparable(each))}
        comparable = [name for name in stored if name not in unlike]
        question: Question | None = None
        try:
            question = here.asked(scenario, comparable, check.reporter) if comparable else None
        except UserError as error:
            unlike = dict.fromkeys(comparable, str(error)) | unlike
        for name, figures in stored.items():
            if question is None or name in unlike:
                yield _without(scenario, name, unlike[name])
            else:
                yield self._case(question, name, figures, check)

    def _case(self, question: Question, name: str, figures: StoredFigures, check: Check) -> Case:
        scenario, entry = question.scenario, here.offered(question, name)
        if isinstance(entry, str):
            return _without(scenario, name, entry)
        log = log_path(check.logs, scenario.name, name, "build")
        try:
            place = here.built(question, entry, log, check.budget, check.reporter)
        except StageFailed as failed:
            return _without(scenario, name, f"cannot be built now: {failed.reason}")
        now = order(question, name, place, log_path(check.logs, scenario.name, name, "now"))
        gate = scenario.gate.service_time
        known = rule.Benchmark(
            scenario.name,
            name,
            gates={} if gate is None else {SERVICE_TIME: gate},
            reason=f"{self._path.name} holds service times alone",
            stored=True,
        )
        return Case(known, Sides(scenario, now, None), {SERVICE_TIME: figures.q1})


def incomparable(figures: StoredFigures) -> str:
    """Why what is measured here now cannot be set beside such figures; empty where it can, as far as the file says."""
    if figures.load != LOAD:
        load = figures.load or "it does not say which"
        return f"not comparable: timed under another load ({load}); `pytest --bakeoff` times in a {LOAD}"
    mine, its = (host.cpu_model(), os.cpu_count() or 1), (figures.cpu, figures.cores)
    if figures.host == host.host_id() or mine == its:
        return ""
    told = f"{figures.cpu or 'an unknown CPU'}, {figures.cores or 'unknown'} cores"
    return f"not comparable: measured on another kind of machine ({told}; here {mine[0]}, {mine[1]} cores)"


def _without(scenario: Scenario, name: str, reason: str) -> Case:
    return Case(rule.Benchmark(scenario.name, name, reason=reason, vanished=True))
