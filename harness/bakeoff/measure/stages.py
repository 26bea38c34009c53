"""The one-shot stages of a candidate, each in a child of its own: probe a backend, build an artifact."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bakeoff.backends import Artifact, Facts, Setting
from bakeoff.measure.child import Launch, ask
from bakeoff.measure.wire import artifact_of, facts_of


@dataclass(frozen=True, slots=True)
class Probed:
    """What a backend's probe found, and the precisions it can run here."""

    facts: Facts
    precisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A build's artifact, and the seconds that the backend's `build` took."""

    artifact: Artifact
    seconds: float


def probe(
    target: str, device: str, log: Path, limit_s: float = 60.0, python: str = sys.executable, cpus: int = 1
) -> Probed:
    """Ask a backend, in a child, whether its engine is here; raises StageFailed("probe", ...), with its remedy."""
    ids = tuple(os.sched_getaffinity(0))
    launch = Launch(log=log, cpus=ids, threads=cpus, python=python)
    reply = ask("probe", "probe", launch, {"target": target, "device": device}, limit_s)
    return Probed(facts_of(reply["facts"]), tuple(reply["precisions"]))


def build(
    target: str,
    prepared: Path,
    variant: str,
    precision: str,
    setting: Setting,
    device: str,
    into: Path,
    log: Path,
    limit_s: float,
    cpus: tuple[int, ...],
    memory_bytes: int | None = None,
    python: str = sys.executable,
) -> Built:
    """Build a candidate's artifact in a child that may use `cpus` (ids); raises StageFailed("build", ...)."""
    launch = Launch(log, cpus, len(cpus), memory_bytes, mapped=prepared, python=python)
    message = {
        "target": target,
        "prepared": str(prepared),
        "variant": variant,
        "precision": precision,
        "setting": asdict(setting),
        "device": device,
        "into": str(into),
    }
    reply = ask("build", "build", launch, message, limit_s)
    return Built(artifact_of(reply["artifact"]), reply["seconds"])
