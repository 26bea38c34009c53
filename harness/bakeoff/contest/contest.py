"""A whole contest: every scenario prepared, planned and tried, all of it in one run of the store."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

from bakeoff.backends import Resources, configured, registered
from bakeoff.candidates import BASE
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import START_GUESS_S
from bakeoff.contest.load import load_for
from bakeoff.contest.plan import Entry, Question, Rival, plan, wanted_backends
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.contest.trial import Trial
from bakeoff.errors import UserError
from bakeoff.measure import environments, host
from bakeoff.measure.engine_room import HERE, Interpreter, Probed, StageFailed, probe
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.endpoint import ENDPOINT
from bakeoff.scenario.environment import APART, Environment
from bakeoff.store.record import FILES, RunRecord
from bakeoff.store.store import Store
from bakeoff.workloads import prepare
from bakeoff.workloads.prepared import Refusal
from bakeoff.workloads.preparing import spec_of

LISTS = "`bakeoff run --dry-run` lists them"
PLANNING = "planning"
"""The status of a run until all its scenarios and candidates are written down."""


def hold(
    questions: Sequence[Question],
    store: Store,
    *,
    command: str = "",
    budget_s: float | None = None,
    logs: Path,
    reporter: Reporter | None = None,
) -> str:
    """Try every question into a new run of the store, and give the run's id."""
    run = store.begin(command, host.facts(), host.environment(), budget_s, questions[0].scenario.seed)
    store.set_status(run, PLANNING)
    for question in questions:
        _write_down(question, store, run)
    store.set_status(run, "running")
    _play(questions, store, run, budget_s, logs / run, reporter or Silent())
    return run


def resume(
    run: str, store: Store, *, budget_s: float | None = None, logs: Path, reporter: Reporter | None = None
) -> None:
    """Go on with a run that was killed, stopped or short of time; what it measured is not measured again.

    Without `budget_s` it has the run's own once more.
    """
    record = store.load(run)
    if record.status == PLANNING or not record.scenarios:
        raise UserError(f"run {run}: was stopped before it measured anything; run it anew: {record.command}")
    _same_ground(record)
    reporter = reporter or Silent()
    probes = _Probes(reporter)
    questions = []
    for each in record.scenarios:
        scenario = restore(dict(each.definition), f"run {run}")
        _same_trace(record, scenario)
        question = _question(scenario, probes, (), reporter)
        if question.prepared.key != each.workload.get("key"):
            raise UserError(f"run {run}: {each.name}: its workload has changed since; run it anew: {record.command}")
        planned = {candidate.id for candidate in each.candidates}
        entries = tuple(entry for entry in question.entries if entry.candidate.id in planned)
        questions.append(replace(question, entries=entries))
    store.set_status(run, "running")
    _play(questions, store, run, budget_s or record.budget_s, logs / run, reporter)


def _same_ground(record: RunRecord) -> None:
    """Unlike measurements must not mix: the same host and the same versions of everything."""
    if record.host.get("host") != host.host_id():
        raise UserError(f"run {record.run}: was measured on another host; run it anew here: {record.command}")
    here = host.versions()
    changed = [name for name in {*record.packages, *here} if record.packages.get(name) != here.get(name)]
    if changed:
        raise UserError(
            f"run {record.run}: {sorted(changed)[0]} has another version now; run it anew: {record.command}"
        )


def _same_trace(record: RunRecord, scenario: Scenario) -> None:
    """Recorded arrivals must be there as they were."""
    try:
        if scenario.traffic.trace is not None:
            scenario.traffic.trace.read()
    except UserError as error:
        raise UserError(f"run {record.run}: {error}; run it anew: {record.command}") from None


def ask(
    scenarios: Sequence[Scenario], *, candidates: Sequence[str] = (), reporter: Reporter | None = None
) -> list[Question]:
    """Probe the backends, prepare the workloads, plan the candidates. Whatever may be bad input is found here.

    `candidates` (ids) narrows the field. Downloads and trains at the first time; raises UserError.
    """
    reporter = reporter or Silent()
    probes = _Probes(reporter)
    return [_question(scenario, probes, candidates, reporter) for scenario in scenarios]


def question(
    scenario: Scenario, candidates: Sequence[str], reporter: Reporter, training_seed: int | None = None
) -> Question:
    """What `ask` gives for one scenario, with a model trained with another seed where one is given.

    A precision that no backend offers here is no mistake but gives no candidate.
    """
    return _question(scenario, _Probes(reporter, gaps=True), candidates, reporter, training_seed)


def still_offered(scenario: Scenario, candidates: Sequence[str], reporter: Reporter) -> Question:
    """What `question` gives, where candidates may have vanished: those that are still offered, and beside them an entry
    of each backend that cannot run here."""
    return _question(scenario, _Probes(reporter, gaps=True, vanished=True), candidates, reporter)


def _question(
    scenario: Scenario,
    probes: _Probes,
    candidates: Sequence[str],
    reporter: Reporter,
    training_seed: int | None = None,
) -> Question:
    wanted_backends(scenario, probes.points)
    prepared = prepare(scenario, progress=reporter.stage, training_seed=training_seed)
    for metric in scenario.quality:
        if metric not in prepared.metrics:
            where = f"{scenario.source or scenario.name}: quality.{metric}"
            known = ", ".join(prepared.metrics) or "none, for its data is made up"
            near = difflib.get_close_matches(metric, prepared.metrics, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{where}: {prepared.name} has no such metric; it has {known}{hint}")
    entries = probes.entries(scenario, prepared.names, candidates, prepared.provisional, prepared.refused)
    return Question(scenario, prepared, entries)


def make_ready(questions: Sequence[Question], reporter: Reporter | None = None) -> None:
    """Build and score all that `hold` would need and the cache keeps, so that its budget goes into measuring."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder, Store.open(Path(folder) / "ahead.db") as store:
        run = note_down(questions, store, "bakeoff prepare")
        for question in questions:
            Trial(question, store, run, Path(folder), Budget(None), reporter or Silent()).make_ready()


def note_down(questions: Sequence[Question], store: Store, command: str) -> str:
    """A run that only makes ready, in a store that nobody keeps: its id."""
    run = store.begin(command, {}, {})
    for question in questions:
        _write_down(question, store, run)
    return run


@dataclass(frozen=True, slots=True)
class Planned:
    """A line of a dry run; `seconds` is a guess at what screening it takes, 0 where it cannot run here."""

    scenario: str
    candidate: str
    outcome: str
    reason: str
    seconds: float


def dry_run(scenarios: Sequence[Scenario], candidates: Sequence[str] = ()) -> list[Planned]:
    """Who would take part and how long the first look at each would take; nothing is prepared, built or written.

    Raises UserError where the workload is none.
    """
    probes = _Probes(Silent(), make=False)
    lines = []
    for scenario in scenarios:
        spec_of(scenario, 0)
        variants = tuple(dict.fromkeys([BASE, *scenario.own_variants, *scenario.recipes]))
        for entry in probes.entries(scenario, variants, candidates):
            failure = entry.failure
            outcome, reason = ("planned", "") if failure is None else (failure.outcome, failure.reason)
            seconds = 0.0 if failure else START_GUESS_S + load_for(scenario).seconds
            lines.append(Planned(scenario.name, entry.candidate.id, outcome, reason, seconds))
    return lines


class _Probes:
    """What each backend says of itself, in a child process of its own; asked once for each device and CPU budget.

    Where `make` is not set, no environment is made; with `gaps`, a precision that no backend offers is no fault, and
    with `vanished` no candidate either.
    """

    def __init__(self, reporter: Reporter, make: bool = True, gaps: bool = False, vanished: bool = False) -> None:
        self.points = registered()
        self._gaps = gaps
        self._vanished = vanished
        self._reporter = reporter
        self._make = make
        self._known: dict[tuple[str, str, Environment | None, str, Resources], Rival] = {}

    def entries(
        self,
        scenario: Scenario,
        variants: Sequence[str],
        candidates: Sequence[str],
        provisional: bool = False,
        refused: Mapping[str, Refusal] | None = None,
    ) -> tuple[Entry, ...]:
        """The scenario's plan, narrowed to `candidates` where any are named."""
        device, asked = scenario.resources.device, scenario.resources
        resources = Resources(len(host.engine_cpus(asked.cpus)[0]), asked.memory_bytes, asked.gpus)
        rivals = self._rivals(self._asked_for(scenario), device, resources)
        own, servers = scenario.candidates.environments, scenario.candidates.servers
        installed = [*(name for name in self.points if name != ENDPOINT), *own, *servers]
        entries = plan(scenario, variants, rivals, installed, provisional, refused, candidates, self._gaps)
        if self._vanished:
            return tuple(entry for entry in entries if entry.failure or entry.candidate.id in candidates)
        return _narrowed(entries, candidates)

    def _asked_for(self, scenario: Scenario) -> dict[str, tuple[str, Environment | None]]:
        """By name the plugins that take part: here, in environments of their own, and before servers."""
        found: dict[str, tuple[str, Environment | None]] = {}
        for name in wanted_backends(scenario, self.points):
            found[name] = self._target(name), None
        for name, environment in scenario.candidates.environments.items():
            found[name] = self._target(name), environment
        for name, server in scenario.candidates.servers.items():
            found[name] = configured(self._target(name), server.options()), None
        return found

    def _point(self, name: str) -> EntryPoint:
        return self.points[name.partition(APART)[0]]

    def _target(self, name: str) -> str:
        return self._point(name).value

    def _rivals(
        self, asked: Mapping[str, tuple[str, Environment | None]], device: str, resources: Resources
    ) -> dict[str, Rival]:
        """Each by its name; those not asked before are asked now, together."""
        keys = {name: (name, *where, device, resources) for name, where in asked.items()}
        runners: dict[str, Interpreter] = {}
        for name, key in keys.items():
            target, environment = asked[name]
            if key not in self._known:
                try:
                    runners[name] = HERE if environment is None else self._interpreter(name, environment)
                except StageFailed as failed:
                    self._known[key] = Rival(target, failed)
        if runners:
            self._reporter.stage(f"asking what they can do here: {', '.join(runners)}")
        answers = ask_backends({name: (asked[name][0], runner) for name, runner in runners.items()}, device, resources)
        for name, answer in answers.items():
            self._known[keys[name]] = Rival(asked[name][0], answer, runners[name])
        return {name: self._known[key] for name, key in keys.items()}

    def _interpreter(self, name: str, environment: Environment) -> Interpreter:
        point = self._point(name)
        made = environment.python or environments.folder(point, environment.requirements).exists()
        if not made and not self._make:
            raise StageFailed("probe", "not-reached", "its environment is not made yet; a run makes it")
        if not made:
            self._reporter.stage(f"making the environment of {name}")
        return environments.interpreter(point, environment.python, environment.requirements)


def ask_backend(
    target: str, device: str, resources: Resources, interpreter: Interpreter = HERE
) -> Probed | StageFailed:
    """What one backend says of itself; a failure is an answer too."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-probe-") as folder:
        try:
            return probe(target, device, resources, Path(folder) / "probe.log", interpreter=interpreter)
        except StageFailed as failed:
            return failed


def ask_backends(
    asked: Mapping[str, tuple[str, Interpreter]], device: str, resources: Resources
) -> dict[str, Probed | StageFailed]:
    """What each of them (by name: target and interpreter) says of itself, as many at a time as there are CPUs."""

    def answer(where: tuple[str, Interpreter]) -> Probed | StageFailed:
        target, interpreter = where
        return ask_backend(target, device, resources, interpreter)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(asked, pool.map(answer, asked.values()), strict=True))


def _narrowed(entries: tuple[Entry, ...], candidates: Sequence[str]) -> tuple[Entry, ...]:
    known = {entry.candidate.id for entry in entries}
    for name in candidates:
        if name not in known:
            raise UserError(f"--candidate {name}: {_absent(name, entries)}")
    return tuple(entry for entry in entries if not candidates or entry.candidate.id in candidates)


def _absent(name: str, entries: Sequence[Entry]) -> str:
    """Why an id stands for no candidate: its backend, or its variant on it, cannot run here; else what is like it."""
    backend, *parts = name.split("/")
    for entry in entries:
        if entry.failure and entry.candidate.backend == backend and entry.candidate.variant in {BASE, *parts}:
            return f"cannot run here: {entry.failure.reason}" + (entry.failure.remedy and f"; {entry.failure.remedy}")
    close = difflib.get_close_matches(name, [entry.candidate.id for entry in entries], 1)
    return f"no such candidate; did you mean {close[0]}?" if close else f"no such candidate; {LISTS}"


def _write_down(question: Question, store: Store, run: str) -> None:
    name = question.scenario.name
    store.add_scenario(run, name, question.scenario.definition(), _workload(question))
    for entry in question.entries:
        store.add_candidate(run, name, entry.candidate, {"version": entry.version})


def _workload(question: Question) -> dict[str, object]:
    """What the record keeps of a prepared workload."""
    prepared = question.prepared
    return {
        "name": prepared.name,
        "key": prepared.key,
        FILES: spec_of(question.scenario, 0).own,
        "data": prepared.data,
        "provisional": prepared.provisional,
        "licence": prepared.licence,
        "citation": prepared.citation,
        "facts": dict(prepared.facts),
    }


def _play(
    questions: Sequence[Question], store: Store, run: str, budget_s: float | None, logs: Path, reporter: Reporter
) -> None:
    """Each question in turn, with an equal part of what is left of the budget; the run's status says how it ended."""
    budget = Budget(budget_s)
    budget.start()
    status = "failed"
    store.add_noise(run, "before", host.noise())
    try:
        for done, question in enumerate(questions):
            reporter.stage(f"{question.scenario.name}: {len(question.entries)} candidates")
            part = budget.share(len(questions) - done)
            part.start()
            Trial(question, store, run, logs, part, reporter).hold()
        store.add_noise(run, "after", host.noise())
        status = "finished"
    except KeyboardInterrupt:
        status = "stopped"
        raise
    finally:
        store.finish(run, status)
