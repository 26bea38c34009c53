"""The workloads prepared for three sizes of request, and each engine's artifact of them, from bakeoff's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bakeoff.backends import FP32, Artifact, Backend, Resources, Setting, build_key, create, registered
from bakeoff.candidates import BASE, Candidate
from bakeoff.contest import artifacts
from bakeoff.contest.plan import Entry
from bakeoff.measure import host
from bakeoff.measure.engine_room import Probed, probe
from bakeoff.scenario import from_dict
from bakeoff.workloads import prepare
from bakeoff.workloads.prepared import Prepared

WORKLOADS = ("ctr-dlrm", "feed-sasrec", "search-biencoder")
ITEMS = (1, 32, 256)
POOL_BYTES = 8 << 20
DEVICE = "cpu"
PROBE_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Built:
    """An engine's artifact of a workload, for one setting; `instances` is what its plugin declares."""

    engine: str
    target: str
    version: str
    instances: str
    setting: Setting
    artifact: Artifact
    prepared: Path


@cache
def workload(name: str, sizes: tuple[int, ...] = ITEMS) -> Prepared:
    """The workload with requests of these sizes, as many of each; made by a child process where it is not there."""
    traffic = {"kind": "single_stream", "batch_size": [{"items": items, "weight": 1} for items in sizes]}
    asked = {"name": "engines", "workload": name, "traffic": traffic, "sla": {"p99": "1s"}}
    return prepare(from_dict(asked), POOL_BYTES)


def plugin(engine: str) -> Backend:
    """The engine's plugin; its engine is imported by children alone."""
    return create(registered()[engine].value)


def preset(engine: str) -> Setting:
    """What the engine's plugin offers first for one core."""
    return plugin(engine).settings(Resources(cpus=1))[0]


def lossy(engine: str) -> tuple[str, ...]:
    """The precisions below fp32 that it offers here, those on request among them."""
    return tuple(each for each in _probed(engine).precisions if each != FP32)


def parallel(engine: str) -> Setting:
    """What it offers first for two cores with two instances of one thread."""
    return next(each for each in plugin(engine).settings(Resources(cpus=2)) if each.instances == 2)


def built(engine: str, name: str, setting: Setting, sizes: tuple[int, ...] = ITEMS, precision: str = FP32) -> Built:
    """The engine's artifact for requests of these sizes; raises StageFailed where the engine is not here or does not
    take the model."""
    target, found, prepared = registered()[engine].value, _probed(engine), workload(name, sizes)
    candidate = Candidate(engine, precision, setting, BASE, DEVICE)
    entry = Entry(candidate, target, found.instances, found.facts.version, build_key(plugin(engine), setting))
    place = artifacts.folder(prepared, entry, " ".join(host.cpu_flags()), run="")
    artifact, _ = artifacts.made(prepared, entry, place, Path(os.devnull))
    return Built(engine, target, found.facts.version, found.instances, setting, artifact, prepared.folder)


@cache
def _probed(engine: str) -> Probed:
    return probe(registered()[engine].value, DEVICE, Resources(cpus=2), Path(os.devnull), PROBE_LIMIT_S)
