"""Moving the baseline: what a run chose, or what a person names, built and kept as it is here now, and pinned.

Nothing else moves it. Everything is built and kept before the first pin is written.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.contest import contest
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.contest.trial import Trial
from bakeoff.decide.drift.rule import SCREEN_SESSIONS
from bakeoff.decide.verdict import judge_scenario
from bakeoff.errors import UserError
from bakeoff.measure.engine_room import StageFailed
from bakeoff.nightly import baseline, lock, pin_files, pins, project
from bakeoff.nightly.alone import alone
from bakeoff.nightly.moves import moves
from bakeoff.nightly.pins import Pin, PinnedCandidate, PinnedSetting, PinnedWorkload
from bakeoff.nightly.portable import portable
from bakeoff.nightly.session import SideFailed, Sides, play
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.endpoint import ENDPOINT
from bakeoff.scenario.environment import APART
from bakeoff.store.plain import candidate_definition
from bakeoff.store.record import CandidateRecord, ScenarioRecord
from bakeoff.store.store import Store
from bakeoff.workloads.pool import beyond_caches_bytes

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Moved:
    """A pin that was written: its file, what moved since the one before, and what to warn of."""

    pin: Pin
    path: Path
    moves: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def chosen(scenarios: Sequence[Scenario], store: Store, run: str = LATEST) -> dict[str, list[str]]:
    """By scenario, the id that a stored run chose: the latest that has the scenario, or the run named.

    Raises UserError where there is no such run, or it chose nothing.
    """
    return {scenario.name: [_choice(scenario.name, store, run)] for scenario in scenarios}


def move(
    scenarios: Sequence[Scenario],
    wanted: Mapping[str, Sequence[str]],
    reason: str,
    folder: Path = pin_files.DEFAULT_FOLDER,
    reporter: Reporter | None = None,
) -> list[Moved]:
    """Pin the `wanted` candidates (ids) of each scenario (by name) into `folder`, building what is not built.

    Raises UserError, before anything is written, for an empty reason, and where a candidate cannot be built or run.
    """
    reporter, root = reporter or Silent(), project.root()
    said = pins.require_reason(reason)
    former = {scenario.name: pin_files.former(folder, scenario.name) for scenario in scenarios}
    asked = [_of(scenario, wanted[scenario.name]) for scenario in scenarios]
    for one in asked:
        portable(one.definition(), root)
    with alone():
        made = [_made(one, wanted[one.name], said, former[one.name], root, reporter) for one in asked]
    return [
        Moved(pin, pin_files.write(pin, folder), moves(former[pin.name], pin), tuple(dict.fromkeys(warnings)))
        for pin, warnings in made
    ]


def _choice(scenario: str, store: Store, run: str) -> str:
    runs = store.runs() if run == LATEST else [store.resolve(run)]
    for name in runs:
        for record in store.load(name).scenarios:
            if record.name == scenario:
                return _verdict(record, name)
    where = f"store {store.place}" if run == LATEST else f"run {run}"
    raise UserError(f"{scenario}: {where} has no such scenario; run it first, or name a candidate (--candidate ID)")


def _verdict(record: ScenarioRecord, run: str) -> str:
    verdict = judge_scenario(record)
    if verdict.choice is None:
        said = f"run {run} chose nothing ({verdict.verdict})"
        raise UserError(f"{record.name}: {said}; name what to pin, as in --candidate onnxruntime/fp32/1x1")
    return verdict.choice.candidate


def _made(
    scenario: Scenario, wanted: Sequence[str], reason: str, former: Pin | None, root: Path, reporter: Reporter
) -> tuple[Pin, list[str]]:
    """The pin of one scenario, its bytes kept, and warnings."""
    question = contest.question(scenario, wanted, reporter)
    records, places = _built(question, reporter)
    prepared, candidates, warnings = question.prepared, [], []
    reporter.stage(f"keeping {', '.join(records)}")
    for entry in question.entries:
        now = _locked(entry, scenario, root)
        warnings += list(now.warnings)
        candidate = _pinned(entry, question, records[entry.candidate.id], places[entry.candidate.id], now.lock)
        reporter.stage(f"measuring {candidate.id} by itself, for where it cannot be run any more")
        stored = _sessions(question, candidate.id, places[candidate.id])
        candidates.append(candidate.model_copy(update={"stored": stored}))
    workload = PinnedWorkload(
        key=prepared.key,
        model=baseline.model_digest(prepared),
        kept=baseline.keep_prepared(prepared, [candidate.place for candidate in candidates]),
        pool_bytes=beyond_caches_bytes(),
    )
    return pins.new(scenario, workload, candidates, reason, former, root), warnings


def _of(scenario: Scenario, wanted: Sequence[str]) -> Scenario:
    """The scenario with the backends and environments of the wanted alone: what else it has is not run and not kept."""
    for name in wanted:
        if name.partition("/")[0].partition(APART)[0] == ENDPOINT:
            raise UserError(f"{scenario.name}: {name}: a server cannot be pinned, for it cannot be kept as it is")
    names = {name.partition("/")[0]: None for name in wanted}
    definition = scenario.definition()
    environments = {name: each for name, each in definition["candidates"]["environments"].items() if name in names}
    backends = list(dict.fromkeys(name.partition(APART)[0] for name in names))
    definition["candidates"] |= {"backends": backends, "environments": environments, "endpoints": {}}
    return restore({**definition, "incumbent": None}, str(scenario.source or scenario.name))


def _built(question: Question, reporter: Reporter) -> tuple[dict[str, CandidateRecord], dict[str, Path]]:
    """Each candidate built and scored: its record and where its artifact lies; raises UserError where one fails."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder, Store.open(Path(folder) / "pin.db") as store:
        run = contest.note_down([question], store, "bakeoff pin")
        trial = Trial(question, store, run, Path(folder), Budget(None), reporter)
        trial.make_ready()
        (record,) = store.load(run).scenarios
    for each in record.candidates:
        if failure := each.failure:
            said = f"{failure.stage}: {failure.outcome}: {failure.reason}"
            raise UserError(f"{record.name}: {each.id}: cannot be pinned, it fails here: {said}")
    return {each.id: each for each in record.candidates}, trial.places


def _locked(entry: Entry, scenario: Scenario, root: Path) -> lock.Now:
    try:
        point, here = baseline.where(entry.candidate.backend, scenario)
        return lock.installed(point, here, root)
    except StageFailed as failed:
        raise UserError(f"{scenario.name}: {entry.candidate.id}: {failed.reason}; {failed.remedy}") from None


def _sessions(question: Question, name: str, place: Path) -> dict[str, tuple[float, ...]]:
    """By metric the figures of some sessions of the candidate alone."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as logs:
        sides = Sides(question.scenario, order(question, name, place, log_path(Path(logs), "", name, "pin")), None)
        try:
            played = [play(sides, "screen", number).now for number in range(1, SCREEN_SESSIONS + 1)]
        except SideFailed as failed:
            raise UserError(f"{question.scenario.name}: {name}: cannot be pinned, it fails here: {failed}") from None
    metrics = {metric for figures in played for metric in figures}
    found = {metric: tuple(each[metric] for each in played if each.get(metric, 0.0) > 0.0) for metric in metrics}
    return dict(sorted(found.items()))


def _pinned(
    entry: Entry, question: Question, record: CandidateRecord, place: Path, locked: lock.Lock
) -> PinnedCandidate:
    candidate = entry.candidate
    at = question.prepared.place(candidate.variant)
    return PinnedCandidate(
        id=candidate.id,
        backend=candidate.backend,
        target=entry.target,
        variant=candidate.variant,
        place=at,
        precision=candidate.precision,
        setting=PinnedSetting(**candidate_definition(candidate)["setting"]),
        device=candidate.device,
        instances=entry.instances,
        version=entry.version,
        artifact=baseline.keep_artifact(place),
        quality={each.metric: each.value for each in record.quality if math.isfinite(each.value)},
        lock=locked,
        model=baseline.model_digest(question.prepared, at),
    )
