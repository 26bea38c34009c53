"""The one-shot stages of a candidate, each in a child of its own: probe a backend, build an artifact."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bakeoff.backends import Artifact, Facts, Resources, Setting
from bakeoff.measure.child import HERE, Interpreter, Launch, ask
from bakeoff.measure.wire import artifact_of, facts_of, setting_of
from bakeoff.scenario.device import kind_of


@dataclass(frozen=True, slots=True)
class Probed:
    """What a backend's probe found, and what it offers here. `build_keys` maps a setting's name to the part of it that
    a built artifact depends on; `instances` says how it uses more than one core at once; `on_request` names the
    precisions that take part only where a scenario asks for them."""

    facts: Facts
    precisions: tuple[str, ...]
    settings: tuple[Setting, ...]
    build_keys: Mapping[str, str]
    instances: str
    on_request: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Built:
    """A build's artifact, and the seconds that the backend's `build` took."""

    artifact: Artifact
    seconds: float


def probe(
    target: str, device: str, resources: Resources, log: Path, limit_s: float = 60.0, interpreter: Interpreter = HERE
) -> Probed:
    """Ask a backend, in a child, whether its engine is here and what it offers within the resources.

    Raises StageFailed("probe", ...), with its remedy.
    """
    cpus = tuple(os.sched_getaffinity(0))
    launch = Launch(log=log, cpus=cpus, threads=resources.cpus, interpreter=interpreter, device=device)
    order = {"target": target, "device": kind_of(device), "resources": asdict(resources)}
    reply = ask("probe", "probe", launch, order, limit_s)
    return Probed(
        facts=facts_of(reply["facts"]),
        precisions=tuple(reply["precisions"]),
        settings=tuple(setting_of(setting) for setting in reply["settings"]),
        build_keys=reply["build_keys"],
        instances=reply["instances"],
        on_request=frozenset(reply["on_request"]),
    )


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
    interpreter: Interpreter = HERE,
) -> Built:
    """Build a candidate's artifact in a child that may use `cpus` (ids); raises StageFailed("build", ...)."""
    launch = Launch(log, cpus, len(cpus), memory_bytes, mapped=prepared, interpreter=interpreter, device=device)
    message = {
        "target": target,
        "prepared": str(prepared),
        "variant": variant,
        "precision": precision,
        "setting": asdict(setting),
        "device": kind_of(device),
        "into": str(into),
    }
    reply = ask("build", "build", launch, message, limit_s)
    return Built(artifact_of(reply["artifact"]), reply["seconds"])
