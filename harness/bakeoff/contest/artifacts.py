"""Built models, kept by content: the same model, engine, precision and CPU never build twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.backends import Artifact, Tensor
from bakeoff.contest.plan import Entry
from bakeoff.workloads import cache_dir
from bakeoff.workloads.prepared import Prepared

ARTIFACT = "artifact.json"
SCORES = "scores.npy"


def folder(prepared: Prepared, entry: Entry, cpu_flags: str) -> Path:
    """Where the artifact of an entry lies, or will."""
    candidate = entry.candidate
    parts = [prepared.key, candidate.variant, candidate.backend, entry.target, entry.version]
    parts += [candidate.precision, candidate.device, entry.build_key, cpu_flags]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    return cache_dir() / "artifacts" / f"{candidate.backend}-{candidate.precision}-{key}"


def kept(place: Path) -> tuple[Artifact, float] | None:
    """The artifact in a folder and the seconds it took to build; None where there is none (or half of one)."""
    try:
        stored = json.loads((place / ARTIFACT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    inputs = tuple(Tensor(each["name"], each["dtype"], tuple(each["shape"]), each["per"]) for each in stored["inputs"])
    artifact = Artifact(place / stored["path"], stored["precision"], inputs, tuple(stored["outputs"]))
    return (artifact, float(stored["build_s"])) if artifact.path.exists() else None


def keep(artifact: Artifact, build_s: float, built_in: Path, place: Path) -> Artifact:
    """Move a finished build to its place, whole or not at all."""
    relative = artifact.path.relative_to(built_in)
    stored: dict[str, Any] = {
        "path": str(relative),
        "precision": artifact.precision,
        "inputs": [asdict(tensor) for tensor in artifact.inputs],
        "outputs": list(artifact.outputs),
        "build_s": build_s,
    }
    (built_in / ARTIFACT).write_text(json.dumps(stored), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    built_in.rename(place)
    return Artifact(place / relative, artifact.precision, artifact.inputs, artifact.outputs)


def size_bytes(place: Path) -> int:
    """The size of what is deployed: the artifact's files, without what we keep beside them."""
    ours = {ARTIFACT, SCORES}
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and path.name not in ours)
