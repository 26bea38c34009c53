"""From pins to cases: for each pinned candidate what starts its baseline, and what is here now in its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff.backends import registered
from bakeoff.contest import artifacts, contest
from bakeoff.contest.fleet import log_path, order
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import QUALITY, Figure, Session
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order, StageFailed
from bakeoff.nightly import exact
from bakeoff.nightly.baseline import Pinned, artifact_now, model_digest, pinned
from bakeoff.nightly.night import Case, fall_back
from bakeoff.nightly.pins import Ground, Pin, PinnedCandidate
from bakeoff.nightly.session import SideFailed, Sides
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.environment import APART

UNLIKE = (
    "its requests are not those of the pin, so that their times cannot be compared; `bakeoff pin` takes the new ones"
)


Past = Callable[[str, str], Sequence[Sequence[Session]]]


@dataclass(frozen=True, slots=True)
class Found:
    """A case, and what a bisection needs to know of it: both sides, and the question as it is asked now."""

    case: Case
    pin: Pin
    candidate: PinnedCandidate
    baseline: Pinned | None = None
    question: Question | None = None
    entry: Entry | None = None


def find(pins: Sequence[Pin], past: Past, logs: Path, reporter: Reporter) -> list[Found]:
    """A case for each pinned candidate, built where it is not, in order; what is wrong with one is its reason.

    `past` gives a benchmark's sessions of earlier nights.
    """
    flags, ground = " ".join(host.cpu_flags()), Ground.here()
    found = []
    for pin in pins:
        reporter.stage(f"{pin.name}: {len(pin.candidates)} pinned")
        try:
            asked = pin.asked()
            question = _now(asked, pin.candidates, reporter)
        except UserError as error:
            found += [Found(_vanished(pin, each, str(error)), pin, each) for each in pin.candidates]
            continue
        for each in pin.candidates:
            found.append(_Case(pin, each, question, logs, flags, ground, past, reporter).found())
    return found


def _now(scenario: Scenario, candidates: Sequence[PinnedCandidate], reporter: Reporter) -> Question:
    """The pinned scenario, asked of the pinned backends that are installed, in an environment of their own or here."""
    names = {each.backend for each in candidates}
    here, own = set(registered()), scenario.candidates.environments
    backends = sorted(name for name in names if name in here and APART not in name)
    definition = scenario.definition()
    definition["candidates"] |= {
        "backends": backends,
        "environments": {
            name: value for name, value in definition["candidates"]["environments"].items() if name in names
        },
    }
    definition["incumbent"] = None
    if not backends and not names & own.keys():
        raise UserError(f"none of its backends is installed: {', '.join(sorted(names))}; `bakeoff doctor` says more")
    return contest.still_offered(restore(definition, scenario.name), [each.id for each in candidates], reporter)


class _Case:
    """One pinned candidate's way to a case."""

    def __init__(
        self,
        pin: Pin,
        candidate: PinnedCandidate,
        question: Question,
        logs: Path,
        flags: str,
        ground: Ground,
        past: Past,
        reporter: Reporter,
    ) -> None:
        self._pin, self._pinned, self._question, self._logs = pin, candidate, question, logs
        self._flags, self._ground, self._past, self._reporter = flags, ground, past, reporter
        self._gate = question.scenario.gate

    def found(self) -> Found:
        """The case, whatever is missing."""
        entry = self._entry()
        if isinstance(entry, str):
            return Found(_vanished(self._pin, self._pinned, entry), self._pin, self._pinned)
        try:
            place = self._built(entry)
        except StageFailed as failed:
            reason = f"cannot be built any more: {failed.reason}"
            return Found(_vanished(self._pin, self._pinned, reason), self._pin, self._pinned)
        now = order(self._question, self._pinned.id, place, self._log("now"))
        baseline = rebuilt(pinned(self._pin, self._pinned), self._pin, self._question, entry, self._log("build"))
        case = self._case(now, baseline)
        case.known = replace(case.known, exact=tuple(self._exact(case, place, baseline, entry)))
        return Found(case, self._pin, self._pinned, baseline, self._question, entry)

    def _entry(self) -> Entry | str:
        """The candidate as it is offered now, or why it is not."""
        found = {entry.candidate.id: entry for entry in self._question.entries}
        entry = found.get(self._pinned.id)
        if entry is not None and entry.failure is None:
            return entry
        same = [each for each in found.values() if each.candidate.backend == self._pinned.backend and each.failure]
        failed = entry.failure if entry is not None else same[0].failure if same else None
        if failed is None:
            return "its backend does not offer it any more" if self._backend_there() else "its backend is not installed"
        return f"{failed.reason}; {failed.remedy}" if failed.remedy else failed.reason

    def _backend_there(self) -> bool:
        return any(entry.candidate.backend == self._pinned.backend for entry in self._question.entries)

    def _built(self, entry: Entry) -> Path:
        place = artifacts.folder(self._question.prepared, entry, self._flags, "")
        if artifacts.kept(place) is None:
            self._reporter.stage(f"building {entry.candidate.id}")
            artifacts.make(self._question.prepared, entry, place, self._log("build"), artifacts.BUILD_LIMIT_S)
        return place

    def _case(self, now: Order, baseline: Pinned) -> Case:
        """Beside the baseline, or beside its stored figures where it cannot be run here."""
        name, metrics = (self._pin.name, self._pinned.id), self._gate.thresholds
        gates = {**metrics, **({QUALITY: 0.0} if self._gate.quality and self._question.scenario.quality else {})}
        known = rule.Benchmark(*name, gates=gates, history=self._past(*name))
        case = Case(known, Sides(self._question.scenario, now, None), self._stored())
        try:
            case.sides = Sides(
                self._question.scenario, now, baseline.order(self._question.scenario, self._log("baseline"))
            )
        except StageFailed as failed:
            fall_back(case, f"its baseline cannot be run: {failed.reason}")
            return case
        if baseline.prepared is not None and not _same_requests(self._question, baseline):
            case.vanished(UNLIKE)
        return case

    def _stored(self) -> dict[str, float]:
        """The pinned figures, on a machine of the same kind; nothing on another."""
        return {} if self._pin.host.unlike(self._ground) else self._pinned.stands_in

    def _exact(self, case: Case, place: Path, baseline: Pinned, entry: Entry) -> list[Figure]:
        now, was = artifact_now(place), self._pinned.artifact
        figures = [exact.size(was.bytes, now.bytes, self._gate.artifact_size)]
        if not self._question.scenario.quality or case.sides is None:
            return figures
        same = now.digest == was.digest and not baseline.differs
        if same and self._pin.workload.model == model_digest(self._question.prepared):
            return figures + exact.same_quality(self._pinned.quality)
        if case.sides.baseline is None:
            return figures + [exact.unknown(metric, "the baseline cannot be run") for metric in self._pinned.quality]
        self._reporter.stage(f"scoring held-out data with both sides of {self._pinned.id}")
        try:
            return figures + exact.quality(case.sides, artifacts.scored_items(entry.candidate))
        except SideFailed as failed:
            return figures + [exact.unknown(metric, str(failed)) for metric in self._question.scenario.quality]

    def _log(self, which: str) -> Path:
        return log_path(self._logs, self._pin.name, self._pinned.id, which)


def rebuilt(baseline: Pinned, pin: Pin, question: Question, entry: Entry, log: Path) -> Pinned:
    """The same baseline, its artifact built again by the pinned environment where its bytes are not here but the
    model's are; as it was where that is not so, or fails."""
    if baseline.artifact is not None or baseline.interpreter is None:
        return baseline
    prepared = baseline.prepared or question.prepared
    if pin.workload.model != model_digest(prepared):
        return baseline
    version = baseline.candidate.version
    again = replace(entry, interpreter=baseline.interpreter, version=version, target=baseline.candidate.target)
    place = artifacts.folder(prepared, again, " ".join(host.cpu_flags()), "")
    try:
        if artifacts.kept(place) is None:
            artifacts.make(prepared, again, place, log, artifacts.BUILD_LIMIT_S)
        artifact, _ = artifacts.kept_or_fail(place)
    except StageFailed:
        return baseline
    return replace(baseline, artifact=artifact, prepared=prepared, missing=())


def _same_requests(question: Question, baseline: Pinned) -> bool:
    """Whether both sides are asked the same: requests of as many items, in the same order."""
    if baseline.prepared is None or baseline.prepared.key == question.prepared.key:
        return True
    mine, its = question.prepared.requests().items, baseline.prepared.requests().items
    return mine.shape == its.shape and bool((mine == its).all())


def _vanished(pin: Pin, candidate: PinnedCandidate, reason: str) -> Case:
    return Case(rule.Benchmark(pin.name, candidate.id, reason=reason))


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
