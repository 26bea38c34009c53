"""A pinned candidate as it can be run here: its artifact, interpreter and prepared workload, or why one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from pathlib import Path

from bakeoff.backends import Artifact, registered
from bakeoff.contest import artifacts
from bakeoff.contest.plan import Entry
from bakeoff.measure import environments, host
from bakeoff.measure.engine_room import HERE, Interpreter, Order, StageFailed
from bakeoff.nightly import lock, objects
from bakeoff.nightly.pins import Pin, PinnedArtifact, PinnedCandidate
from bakeoff.scenario import Scenario
from bakeoff.scenario.environment import APART
from bakeoff.workloads import venvs
from bakeoff.workloads.prepared import COMPRESSED, MADE, REFERENCE, Made, Prepared

ELSEWHERE = "its bytes are not in this machine's cache"
KEEP = "run the check with the cache (BAKEOFF_CACHE) that `bakeoff pin` filled"


@dataclass(frozen=True, slots=True)
class Pinned:
    """The baseline's side. What is missing is None, and `missing` says why, a StageFailed each; with any of them the
    check falls back on `candidate.stands_in`. `differs` lists what is not installed as pinned: name, pinned, now.
    `rebuilt` names its artifact where that was built again for another CPU than the pin's. `versions` are those of now.
    """

    candidate: PinnedCandidate
    artifact: Artifact | None
    prepared: Prepared | None
    interpreter: Interpreter | None
    missing: tuple[StageFailed, ...] = ()
    differs: tuple[tuple[str, str, str], ...] = ()
    rebuilt: PinnedArtifact | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def was(self) -> PinnedArtifact:
        """What now's artifact is compared with."""
        return self.rebuilt or self.candidate.artifact

    def order(self, scenario: Scenario, log: Path) -> Order:
        """What starts it on the scenario's CPUs; raises StageFailed where something is missing."""
        if self.artifact is None or self.prepared is None or self.interpreter is None:
            raise self.missing[0]
        pinned, resources = self.candidate, scenario.resources
        cpus, generator_cpu = host.engine_cpus(resources.cpus)
        return Order(
            target=pinned.target,
            artifact=self.artifact,
            setting=pinned.setting.setting(),
            device=pinned.device,
            instances=pinned.instances,
            cpus=cpus,
            memory_bytes=resources.memory_bytes,
            prepared=self.prepared.folder,
            log=log,
            interpreter=self.interpreter,
            lossy=not pinned.lossless or pinned.variant in self.prepared.inexact,
            variant=pinned.place,
            generator_cpu=generator_cpu,
            gpu_memory_bytes=resources.gpu_memory_bytes,
        )


def pinned(
    pin: Pin, candidate: PinnedCandidate, root: Path | None = None, limit_s: float = venvs.MAKING_LIMIT_S
) -> Pinned:
    """One of a pin's candidates, its environment made, within `limit_s`, where it has to be; never raises for what is
    missing."""
    missing: list[StageFailed] = []
    artifact = prepared = interpreter = None
    differs: tuple[tuple[str, str, str], ...] = ()
    versions: Mapping[str, str] = {}
    try:
        artifact = artifacts.described(_found(candidate.artifact.digest, "artifact"))
    except StageFailed as failed:
        missing.append(failed)
    try:
        prepared = _read(_found(pin.workload.kept, "prepared workload"), candidate)
    except StageFailed as failed:
        missing.append(failed)
    try:
        point, here = where(candidate.backend, pin.asked(root))
        now = lock.installed(point, here, root)
        versions, differs = lock.versions(now.lock), tuple(lock.differs(candidate.lock, now))
        interpreter = lock.interpreter_of(candidate.lock, point, now, here, root, limit_s)
    except StageFailed as failed:
        missing.append(failed)
    return Pinned(candidate, artifact, prepared, interpreter, tuple(missing), differs, versions=versions)


def where(backend: str, scenario: Scenario) -> tuple[EntryPoint, Interpreter]:
    """A backend's plugin, and what runs it now: here, or the environment that the scenario gives it.

    Raises StageFailed where it is not installed, or that environment cannot be made.
    """
    name = backend.partition(APART)[0]
    point = registered().get(name)
    if point is None:
        reason = f"the backend {name} is not installed"
        raise StageFailed("probe", "unavailable", reason, f"install the package that {name} comes in")
    if APART not in backend:
        return point, HERE
    environment = scenario.candidates.environments.get(backend)
    if environment is None:
        raise StageFailed("probe", "unavailable", f"the scenario has no environment {backend}", "name it there again")
    return point, environments.interpreter(point, environment.python, environment.requirements)


def keep_artifact(place: Path) -> PinnedArtifact:
    """Keep the artifact that lies at `place`."""
    paths, written = artifacts.essence(place)
    size = artifacts.size_facts(place)["artifact_bytes"]
    return PinnedArtifact(digest=objects.keep(place, paths, written), bytes=size)


def artifact_now(place: Path) -> PinnedArtifact:
    """The artifact at `place` as a pin would name it, to be compared with a pinned one; nothing is kept."""
    paths, written = artifacts.essence(place)
    return PinnedArtifact(
        digest=objects.digest_of(place, paths, written), bytes=artifacts.size_facts(place)["artifact_bytes"]
    )


def keep_prepared(prepared: Prepared, places: Sequence[str]) -> str:
    """Keep a prepared workload with the variants at these places, of all that techniques made; gives the digest."""
    return objects.keep(prepared.folder, list(_wanted(prepared, places)))


def model_digest(prepared: Prepared, place: str = "base") -> str:
    """The digest of the model files at a place; what else lies there, its answers and how it was made, is no part."""
    folder = next(iter(prepared.files(place).values())).parent
    inside = [path for path in folder.rglob("*") if path.is_file() and path.name != MADE]
    of_it = [path for path in inside if not path.name.startswith(REFERENCE)]
    return objects.digest_of(prepared.folder if place == "base" else folder, of_it)


def same_model(pin: Pin, candidate: PinnedCandidate, prepared: Prepared) -> bool:
    """Whether a prepared workload has the pinned model, and the candidate's own variant of it."""
    if pin.workload.model != model_digest(prepared):
        return False
    return candidate.model in (None, model_digest(prepared, prepared.place(candidate.variant)))


def as_pinned(entry: Entry, candidate: PinnedCandidate, interpreter: Interpreter, version: str) -> Entry:
    """The pinned candidate in the place of what is offered now. Where its knobs are others, its build may be, too, and
    has a place of its own."""
    known = candidate.has_knobs(entry.candidate.setting)
    return replace(
        entry,
        candidate=candidate.candidate,
        target=candidate.target,
        build_key=entry.build_key if known else f"{entry.build_key} {candidate.setting.model_dump_json()}",
        interpreter=interpreter,
        version=version,
    )


def _wanted(prepared: Prepared, places: Sequence[str]) -> Iterator[Path]:
    for path in prepared.folder.rglob("*"):
        name = path.relative_to(prepared.folder)
        if name.parts[0] != COMPRESSED or any(name.is_relative_to(place) for place in places):
            yield path


def _read(folder: Path, candidate: PinnedCandidate) -> Prepared:
    """The kept workload, with the candidate's variant where a technique made it."""
    try:
        found, place = Prepared.read(folder), candidate.place
        made = {} if place in found.variants else {candidate.variant: Made.read(folder, place)}
        return replace(found, made=made)
    except (OSError, ValueError, TypeError, KeyError):
        reason = "prepared workload: another bakeoff wrote it, in a form that this one does not read"
        raise StageFailed("load", "unavailable", reason, "`bakeoff pin` keeps one of now") from None


def _found(digest: str, what: str) -> Path:
    found = objects.find(digest)
    if found is None:
        raise StageFailed("load", "unavailable", f"{what}: {ELSEWHERE}", KEEP)
    return found
