"""Built models, kept by content: the same model, engine, precision, CPU and GPU never build twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.backends import Artifact, Tensor
from bakeoff.candidates import Candidate
from bakeoff.contest.budget import blame_budget
from bakeoff.contest.plan import Entry
from bakeoff.measure import gpu, host
from bakeoff.measure.engine_room import HERE, Built, Loaded, StageFailed, build
from bakeoff.workloads import cache_dir
from bakeoff.workloads.cache import used, writable
from bakeoff.workloads.prepared import Prepared

ARTIFACT = "artifact.json"
LOAD = "load.json"
SCORES = "scores"
BUILD_LIMIT_S, SCORE_LIMIT_S = 900.0, 900.0
_PART_BYTES = 1 << 22
_OF_THE_BUILD = frozenset({"build_s", "zstd_bytes"})
SHORTEST_BUILD_S = 1.0
MEMORY_SHARE = 0.6
"""The share of the free memory that a build may take."""


def folder(prepared: Prepared, entry: Entry, cpu_flags: str, run: str) -> Path:
    """Where the artifact of an entry lies, or will; what a server answers holds for one run, for it may be changed."""
    candidate = entry.candidate
    parts = [prepared.key, prepared.place(candidate.variant), candidate.backend, entry.target, entry.version]
    parts += [candidate.precision, candidate.device, entry.build_key, cpu_flags]
    parts += filter(None, [gpu.architecture(candidate.device)])
    parts += [] if entry.interpreter == HERE else [entry.interpreter.python]
    parts += [run] if candidate.remote else []
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    return cache_dir() / "artifacts" / f"{candidate.backend}-{candidate.precision}-{key}"


def kept(place: Path) -> tuple[Artifact, float] | None:
    """The artifact in a folder and the seconds it took to build; None where there is none (or half of one)."""
    artifact = described(place)
    if artifact is None:
        return None
    used(place)
    return artifact, float(_stored(place / ARTIFACT)["build_s"])


def described(place: Path) -> Artifact | None:
    """The artifact alone; also where the folder came from elsewhere and does not tell what the build took."""
    stored = _stored(place / ARTIFACT)
    if not stored:
        return None
    inputs = tuple(Tensor(each["name"], each["dtype"], tuple(each["shape"]), each["per"]) for each in stored["inputs"])
    artifact = Artifact(place / stored["path"], stored["precision"], inputs, tuple(stored["outputs"]))
    return artifact if artifact.path.exists() else None


def essence(place: Path) -> tuple[list[Path], dict[str, bytes]]:
    """What an artifact is, whenever it was built: its files and folders, and by name the files that describe it."""
    stored = {name: value for name, value in _stored(place / ARTIFACT).items() if name not in _OF_THE_BUILD}
    files = _deployed(place)
    folders = [path for path in sorted(place.rglob("*")) if path.is_dir()]
    return [*folders, *files], {ARTIFACT: json.dumps(stored, sort_keys=True).encode()}


def _stored(path: Path) -> dict[str, Any]:
    """What a file of ours holds; nothing where there is none, or half of one."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def kept_or_fail(place: Path) -> tuple[Artifact, float]:
    """What `kept` gives; raises StageFailed where somebody emptied the cache meanwhile."""
    found = kept(place)
    if found is None:
        raise StageFailed("load", "failed", "its artifact vanished from the cache; run it again")
    return found


def made(
    prepared: Prepared,
    entry: Entry,
    place: Path,
    log: Path,
    limit_s: float = BUILD_LIMIT_S,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Artifact, float]:
    """What `kept` gives, built first where there is none, of which it tells; raises StageFailed, as `make` does."""
    if kept(place) is None:
        tell(f"building {entry.candidate.id}")
        make(prepared, entry, place, log, limit_s)
    return kept_or_fail(place)


def make(prepared: Prepared, entry: Entry, place: Path, log: Path, limit_s: float) -> None:
    """Build an entry's artifact in a child, and move it to its place whole or not at all.

    Raises StageFailed; "over-budget" where `limit_s`, and not BUILD_LIMIT_S, was too short.
    """
    if limit_s < SHORTEST_BUILD_S:
        raise StageFailed("build", "over-budget", "no time was left to build it", "`bakeoff prepare` builds ahead")
    candidate = entry.candidate
    with writable():
        place.parent.mkdir(parents=True, exist_ok=True)
        into = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    memory_bytes = round(MEMORY_SHARE * host.available_memory_bytes())
    try:
        built = build(
            entry.target,
            prepared.folder,
            prepared.place(candidate.variant),
            candidate.precision,
            candidate.setting,
            candidate.device,
            into,
            log,
            min(BUILD_LIMIT_S, limit_s),
            host.allowed_cpus(),
            memory_bytes,
            entry.interpreter,
        )
        _keep(built, into, place)
    except StageFailed as failed:
        raise blame_budget(failed, limit_s, BUILD_LIMIT_S, "the build", "`bakeoff prepare` builds ahead") from None
    finally:
        shutil.rmtree(into, ignore_errors=True)


def _keep(built: Built, into: Path, place: Path) -> None:
    artifact = built.artifact
    stored: dict[str, Any] = {
        "path": str(artifact.path.relative_to(into)),
        "precision": artifact.precision,
        "inputs": [asdict(tensor) for tensor in artifact.inputs],
        "outputs": list(artifact.outputs),
        "build_s": built.seconds,
        "zstd_bytes": _zstd_bytes(_deployed(into)),
    }
    (into / ARTIFACT).write_text(json.dumps(stored), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    into.rename(place)


def scored_items(candidate: Candidate) -> int | None:
    """How many items the calls have at most in which held-out requests are joined; None: each is a call of its own.

    A lossy precision may scale by what else is in the call, so that joining changes what it loses; at a lossless one
    answers taken apart were found to be those of the requests alone.
    """
    batching = candidate.setting.batching
    return batching.most_items if batching and candidate.lossy else None


def scores(place: Path, candidate: Candidate) -> Path:
    """Where a candidate's answers to the held-out data lie, beside its artifact: all that call it alike share them."""
    most_items = scored_items(candidate)
    return place / (f"{SCORES}.npy" if most_items is None else f"{SCORES}+b{most_items}.npy")


def size_facts(place: Path) -> dict[str, int]:
    """The bytes of what is deployed, as it lies on disk and compressed by zstd as a registry would send it."""
    zstd_bytes = _stored(place / ARTIFACT).get("zstd_bytes")
    size = sum(path.stat().st_size for path in _deployed(place))
    return {"artifact_bytes": size} | ({} if zstd_bytes is None else {"artifact_zstd_bytes": zstd_bytes})


def keep_load(place: Path, loaded: Loaded) -> None:
    """Remember what loading the artifact took, for those who find its scores in the cache."""
    facts = {"load_s": loaded.load_s, "startup_s": loaded.startup_s, "memory_bytes": loaded.memory_bytes}
    (place / LOAD).write_text(json.dumps(facts), encoding="utf-8")


def load_facts(place: Path) -> dict[str, Any]:
    """What loading the artifact took when it was scored; nothing where it never was."""
    return _stored(place / LOAD)


def _deployed(place: Path) -> list[Path]:
    """The artifact's files, without what we keep beside them."""
    ours = {place / ARTIFACT, place / LOAD, *place.glob(f"{SCORES}*.npy")}
    return [path for path in sorted(place.rglob("*")) if path.is_file() and path not in ours]


def _zstd_bytes(files: Iterable[Path]) -> int:
    import pyarrow as pa

    counter = pa.MockOutputStream()
    with pa.CompressedOutputStream(counter, "zstd") as sink:
        for path in files:
            with path.open("rb") as file:
                while part := file.read(_PART_BYTES):
                    sink.write(part)
    size: int = counter.size()
    return size
