"""Scenario files as pytest collects them, and their candidates as items that pytest-benchmark's own fixture times.

What is timed is one request in the candidate's own worker process, from the call of the engine to its answer, in a
closed loop of one lane: measure/lane.py says how pytest-benchmark gets to read the worker's clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from bakeoff import api
from bakeoff.contest import contest
from bakeoff.contest.plan import Question
from bakeoff.contest.single import start
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.lane import LOAD, Clock, Lane
from bakeoff.scenario import Scenario, load_scenarios
from bakeoff.scenario.loading import SUFFIXES

SKIPPED = frozenset({"unavailable", "unsupported", "not-reached"})
"""Outcomes that are no fault of the candidate's; it fails with any other."""
_UNUSED = "ignore:Benchmark fixture was not used"
"""Where a candidate fails before its first call, which it tells itself."""
_SCENARIO = re.compile(r"^[\"']?workload[\"']?\s*:", re.MULTILINE)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """A YAML file that is named, or found in a folder and looks like a scenario."""
    if file_path.suffix not in SUFFIXES:
        return None
    named = parent.session.isinitpath(file_path)
    if not named and not _SCENARIO.search(file_path.read_text(encoding="utf-8", errors="replace")):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """A scenario; its workload is prepared when the first of its candidates runs, not when they are listed."""

    def collect(self) -> Iterator[CandidateItem]:
        """The candidates of a stored run that passed every gate, or all; those that cannot run here are skipped."""
        try:
            for name, unable in self._planned():
                item: CandidateItem = CandidateItem.from_parent(self, name=name, callobj=play)
                item.add_marker(pytest.mark.benchmark(group=self.scenario.name, timer=item.clock))
                item.add_marker(pytest.mark.filterwarnings(_UNUSED))
                if unable:
                    item.add_marker(pytest.mark.skip(reason=unable))
                yield item
        except UserError as error:
            raise self.CollectError(str(error)) from None

    @cached_property
    def scenario(self) -> Scenario:
        """The question in the file; raises UserError."""
        (scenario,) = load_scenarios([self.path])
        return scenario

    def question(self, name: str) -> Question:
        """The prepared scenario with all that is needed to start a candidate; raises UserError where it is none."""
        if all(entry.candidate.id != name for entry in self._asked.entries):
            (found,) = contest.ask([self.scenario], candidates=[name])
            return found
        return self._asked

    @cached_property
    def _asked(self) -> Question:
        (found,) = contest.ask([self.scenario])
        return found

    def _planned(self) -> Iterator[tuple[str, str]]:
        """Each candidate's id, and why it cannot run here; nothing is prepared or built for that."""
        run = self.config.getoption("bakeoff_run")
        if run is None:
            for line in contest.dry_run([self.scenario]):
                yield line.candidate, "" if line.outcome == "planned" else f"{line.outcome}: {line.reason}"
        else:
            yield from ((name, "") for name in _feasible(run, self.config.getoption("bakeoff_store"), self.scenario))


class CandidateItem(pytest.Function):
    """One candidate: a function that is given pytest-benchmark's fixture, and the clock that the fixture reads."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.clock = Clock()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands: in the scenario's file."""
        return self.path, 0, self.name


def play(request: pytest.FixtureRequest, benchmark: Any, tmp_path: Path) -> None:
    """Start the candidate and have pytest-benchmark call it; what its engine prints goes to `tmp_path`."""
    told, skipped = "", False
    try:
        measure(request.node.name, request.node.parent, request.node.clock, benchmark, tmp_path)
    except UserError as error:
        told = str(error)
    except StageFailed as failed:
        told = f"{failed}; {failed.remedy}" if failed.remedy else str(failed)
        skipped = failed.outcome in SKIPPED
    if skipped:
        pytest.skip(told)
    if told:
        pytest.fail(told, pytrace=False)


def measure(name: str, file: ScenarioFile, clock: Clock, benchmark: Any, folder: Path) -> None:
    """Time a candidate; in pytest-benchmark's results it has the name that the nightly check gives it, too."""
    question = file.question(name)
    (entry,) = (each for each in question.entries if each.candidate.id == name)
    candidate = entry.candidate
    parts = {each: getattr(candidate, each) for each in ("backend", "precision", "variant", "device")}
    benchmark.fullname, benchmark.param = f"{question.scenario.name}: {name}", name
    benchmark.params = parts | {"setting": candidate.setting.name}
    benchmark.extra_info |= {"benchmark": benchmark.fullname, "load": LOAD, "host": host.host_id()}
    benchmark.extra_info["version"] = entry.version
    with start(question, name, folder) as engine:
        benchmark(Lane(engine, clock).call)


def _feasible(run: str, store: str | None, scenario: Scenario) -> list[str]:
    """The candidates that passed every gate; raises UserError where there are none."""
    loaded = api.load(run, store)
    found = [verdict for verdict in loaded.verdict() if verdict.scenario == scenario.name]
    if not found:
        raise UserError(f"--bakeoff-run {run}: run {loaded.id} has no scenario {scenario.name}")
    names = [judged.candidate for judged in found[0].candidates if judged.outcome == "ok"]
    if not names:
        raise UserError(f"--bakeoff-run {run}: no candidate passed every gate of {scenario.name} in run {loaded.id}")
    return names
