"""A whole contest: every scenario prepared, planned and tried, all of it in one run of the store."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.candidates import BASE
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import START_GUESS_S
from bakeoff.contest.load import load_for
from bakeoff.contest.notebook import UNFINISHED, Notebook
from bakeoff.contest.plan import Entry, Question, wanted_backends
from bakeoff.contest.probing import Probes
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.contest.trial import Trial
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.energy import Energy
from bakeoff.measure.engine_room import StageFailed
from bakeoff.scenario import Scenario, restore
from bakeoff.store.record import FILES, RunRecord, ScenarioRecord
from bakeoff.store.store import Store
from bakeoff.workloads import prepare
from bakeoff.workloads.preparing import spec_of

PLANNING = "planning"
"""The status of a run until all its scenarios and candidates are written down."""
GONE = "its backend does not offer it here any more"


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
    probes = Probes(reporter, gaps=True, vanished=True)
    questions, asked = list[Question](), list[tuple[ScenarioRecord, Question]]()
    for each in record.scenarios:
        scenario = restore(dict(each.definition), f"run {run}")
        _same_trace(record, scenario)
        planned = {candidate.id for candidate in each.candidates}
        question = _question(scenario, probes, sorted(planned), reporter)
        if question.prepared.key != each.workload.get("key"):
            raise UserError(f"run {run}: {each.name}: its workload has changed since; run it anew: {record.command}")
        asked.append((each, question))
        entries = tuple(entry for entry in question.entries if entry.candidate.id in planned)
        questions.append(replace(question, entries=entries))
    store.set_status(run, "running")
    for each, question in asked:
        _note_the_gone(each, question, store, run, reporter)
    _play(questions, store, run, budget_s or record.budget_s, logs / run, reporter)


def _note_the_gone(before: ScenarioRecord, now: Question, store: Store, run: str, reporter: Reporter) -> None:
    """Say of candidates that could go on, and are not offered here any more, that they are gone."""
    offered = {entry.candidate.id for entry in now.entries}
    failures = {each.candidate.backend: each.failure for each in now.entries if _failed_to_answer(each)}
    notebook = Notebook(now.scenario, (), store, run, reporter)
    for each in before.candidates:
        if each.id not in offered and (each.failure is None or each.failure.outcome in UNFINISHED):
            gone = failures.get(each.candidate.backend) or StageFailed("probe", "unavailable", GONE)
            notebook.failed(each.id, gone)


def _failed_to_answer(entry: Entry) -> bool:
    """Whether it is the backend itself that cannot run here, and not a variant that the model has no use for."""
    return entry.failure is not None and entry.failure.stage == "probe"


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
    probes = Probes(reporter)
    for scenario in scenarios:
        if scenario.objective == "energy" and not Energy.now(scenario.resources.device).since():
            where = f"{scenario.source or scenario.name}: objective"
            raise UserError(f"{where}: no counter of energy can be read here; `bakeoff doctor` says what there is")
    return [_question(scenario, probes, candidates, reporter) for scenario in scenarios]


def question(
    scenario: Scenario, candidates: Sequence[str], reporter: Reporter, training_seed: int | None = None
) -> Question:
    """What `ask` gives for one scenario, with a model trained with another seed where one is given.

    A precision that no backend offers here is no mistake but gives no candidate.
    """
    return _question(scenario, Probes(reporter, gaps=True), candidates, reporter, training_seed)


def still_offered(scenario: Scenario, candidates: Sequence[str], reporter: Reporter) -> Question:
    """What `question` gives, where candidates may have vanished: those that are still offered, and beside them an entry
    of each backend that cannot run here."""
    return _question(scenario, Probes(reporter, gaps=True, vanished=True), candidates, reporter)


def _question(
    scenario: Scenario,
    probes: Probes,
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
    probes = Probes(Silent(), make=False)
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
