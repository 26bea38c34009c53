"""From pins to cases: for each pinned candidate what starts its baseline, and what is here now in its place."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift import qualities, rule
from bakeoff.decide.drift.answers import QUALITY, Figure, Session
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order, StageFailed
from bakeoff.nightly import exact, here
from bakeoff.nightly.baseline import Pinned, artifact_now, as_pinned, pinned, same_model
from bakeoff.nightly.night import Case, fall_back
from bakeoff.nightly.pins import Ground, Pin, PinnedCandidate
from bakeoff.nightly.session import SideFailed, Sides
from bakeoff.workloads.prepared import REFERENCE

UNLIKE = (
    "its requests are not those of the pin, so that their times cannot be compared; `bakeoff pin` takes the new ones"
)

Past = Callable[[str, str], Sequence[Sequence[Session]]]
"""A benchmark's sessions of earlier nights, by scenario and candidate."""


@dataclass(frozen=True, slots=True)
class Found:
    """A case, and what a bisection needs to know of it: both sides, and the question as it is asked now."""

    case: Case
    pin: Pin
    candidate: PinnedCandidate
    baseline: Pinned | None = None
    question: Question | None = None
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What all cases of a check share: the sessions of earlier nights, where engines' output goes, and the time."""

    past: Past
    logs: Path
    budget: Budget
    reporter: Reporter


def find(pins: Sequence[Pin], check: Check) -> list[Found]:
    """A case for each pinned candidate, built where it is not, in order; what is wrong with one is its reason."""
    ground, among = Ground.here(), sum(len(pin.candidates) * len(pin.asked().quality) for pin in pins)
    found = []
    for pin in pins:
        check.reporter.stage(f"{pin.name}: {len(pin.candidates)} pinned")
        try:
            names = [each.id for each in pin.candidates]
            question = here.asked(pin.asked(), names, check.reporter, pin.workload.pool_bytes)
        except UserError as error:
            found += [Found(_vanished(pin, each, str(error)), pin, each) for each in pin.candidates]
            continue
        found += [_Case(pin, each, question, ground, check, among).found() for each in pin.candidates]
    return found


class _Case:
    """One pinned candidate's way to a case; the night may score `among` so many quality figures."""

    def __init__(
        self, pin: Pin, candidate: PinnedCandidate, question: Question, ground: Ground, check: Check, among: int
    ) -> None:
        self._pin, self._pinned, self._question, self._check, self._among = pin, candidate, question, check, among
        self._unlike = pin.host.unlike(ground)
        self._at_home = pin.host.builds_as(ground, candidate.device)
        self._gate = question.scenario.gate

    def found(self) -> Found:
        """The case, whatever is missing."""
        entry = here.offered(self._question, self._pinned.id)
        if isinstance(entry, str):
            return Found(_vanished(self._pin, self._pinned, entry), self._pin, self._pinned)
        try:
            place = here.built(self._question, entry, self._log("build"), self._check.budget, self._check.reporter)
        except StageFailed as failed:
            case = _vanished(self._pin, self._pinned, f"cannot be built now: {failed.reason}")
            return Found(case, self._pin, self._pinned)
        now = order(self._question, self._pinned.id, place, self._log("now"))
        kept = pinned(self._pin, self._pinned, limit_s=self._check.budget.left)
        baseline = self._rebuilt(kept, entry)
        case = self._case(now, baseline)
        case.known = replace(case.known, exact=tuple(self._exact(case, place, baseline, entry)))
        return Found(case, self._pin, self._pinned, baseline, self._question, entry)

    def _rebuilt(self, baseline: Pinned, entry: Entry) -> Pinned:
        """The same baseline with what is not here of it: its workload by the one of now, where that has the pinned
        model, its artifact built again by the pinned environment, also where its bytes are for another processor. As it
        was where that is not so or fails; `missing` says why."""
        was, prepared = baseline.candidate, baseline.prepared or self._question.prepared
        artifact = baseline.artifact if self._at_home else None
        if baseline.interpreter is None or (artifact and baseline.prepared):
            return baseline
        if baseline.prepared is None and not same_model(self._pin, was, prepared):
            return _without(baseline, f"{baseline.missing[0].reason}, and the model here is not the pinned one")
        rebuilt = None
        if artifact is None:
            again = as_pinned(entry, was, baseline.interpreter, was.version)
            place = artifacts.folder(prepared, again, " ".join(host.cpu_flags()), "")
            try:
                artifact, _ = artifacts.made(prepared, again, place, self._log("build"), self._check.budget.left)
            except StageFailed as failed:
                return _without(baseline, f"it cannot be built again: {failed.reason}")
            rebuilt = None if self._at_home else artifact_now(place)
        return replace(baseline, artifact=artifact, prepared=prepared, missing=(), rebuilt=rebuilt)

    def _case(self, now: Order, baseline: Pinned) -> Case:
        """Beside the baseline, or beside its stored figures where it cannot be run here."""
        name, scenario = (self._pin.name, self._pinned.id), self._question.scenario
        gates = {**self._gate.thresholds, **({QUALITY: 0.0} if self._gate.quality and scenario.quality else {})}
        known = rule.Benchmark(*name, gates=gates, history=self._check.past(*name), versions=baseline.versions)
        case = Case(known, Sides(scenario, now, None), {} if self._unlike else self._pinned.stands_in)
        try:
            case.sides = Sides(scenario, now, baseline.order(scenario, self._log("baseline")))
        except StageFailed as failed:
            elsewhere = f"; it was pinned on another kind of machine ({self._unlike})" if self._unlike else ""
            fall_back(case, f"its baseline cannot be run: {failed.reason}{elsewhere}")
            return case
        if baseline.prepared is not None and not _same_requests(self._question, baseline):
            case.vanished(UNLIKE)
        return case

    def _exact(self, case: Case, place: Path, baseline: Pinned, entry: Entry) -> list[Figure]:
        now, was, asked = artifact_now(place), baseline.was, self._question.scenario.quality
        before = was.bytes if self._at_home or baseline.rebuilt else None
        figures = [exact.size(before, now.bytes, self._gate.artifact_size), *exact.without_p99(self._question.scenario)]
        if not asked or case.sides is None:
            return figures
        if now.digest == was.digest and self._unchanged(baseline, entry) and self._kept(asked):
            values = {name: self._pinned.quality[name] for name in asked}
            return figures + exact.same_quality(values, self._gate.quality)
        if case.sides.baseline is None:
            return figures + self._unknown("the baseline cannot be run")
        self._check.reporter.stage(f"scoring held-out data with both sides of {self._pinned.id}")
        limit_s = min(artifacts.SCORE_LIMIT_S, self._check.budget.left)
        try:
            return figures + exact.quality(case.sides, artifacts.scored_items(entry.candidate), self._among, limit_s)
        except SideFailed as failed:
            return figures + self._unknown(str(failed))

    def _unchanged(self, baseline: Pinned, entry: Entry) -> bool:
        """Whether engine, knobs and model are as they were pinned."""
        known = not baseline.differs and self._pinned.has_knobs(entry.candidate.setting)
        return known and same_model(self._pin, self._pinned, self._question.prepared)

    def _kept(self, metrics: Collection[str]) -> bool:
        """Whether the pin has a value for each of these."""
        return all(name in self._pinned.quality for name in metrics)

    def _unknown(self, reason: str) -> list[Figure]:
        gate = 0.0 if self._gate.quality else None
        return [qualities.unknown(metric, reason, gate) for metric in self._question.scenario.quality]

    def _log(self, which: str) -> Path:
        return log_path(self._check.logs, self._pin.name, self._pinned.id, which)


def _without(baseline: Pinned, reason: str) -> Pinned:
    """The baseline without an artifact, and first of all why."""
    said = StageFailed("build", "unavailable", reason)
    return replace(baseline, artifact=None, missing=(said, *baseline.missing))


def _same_requests(question: Question, baseline: Pinned) -> bool:
    """Whether both sides are asked the same, to the byte and in the same order."""
    if baseline.prepared is None or baseline.prepared.key == question.prepared.key:
        return True
    mine, its = (_requests(each.folder) for each in (question.prepared, baseline.prepared))
    return mine.keys() == its.keys() and all(filecmp.cmp(mine[name], its[name], shallow=False) for name in mine)


def _requests(prepared: Path) -> dict[str, Path]:
    """The files with a prepared workload's requests by name, without a model's answers to them."""
    files = (prepared / "requests").glob("*.npy")
    return {path.name: path for path in files if not path.name.startswith(REFERENCE)}


def _vanished(pin: Pin, candidate: PinnedCandidate, reason: str) -> Case:
    return Case(rule.Benchmark(pin.name, candidate.id, reason=reason, vanished=True))


def narrowed(pins: Sequence[Pin], candidates: Collection[str]) -> list[Pin]:
    """The pins with these candidates alone; raises UserError for one that nobody pinned."""
    known = {each.id for pin in pins for each in pin.candidates}
    for name in candidates:
        if name not in known:
            raise UserError(f"--candidate {name}: is not pinned; pinned are {', '.join(sorted(known))}")
    kept = [
        pin.model_copy(update={"candidates": tuple(each for each in pin.candidates if each.id in candidates)})
        for pin in pins
    ]
    return [pin for pin in kept if pin.candidates] if candidates else list(pins)
