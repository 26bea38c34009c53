"""Where the calibrated service is measured: its workload in a temporary folder, and the engines over it."""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bakeoff.backends import Artifact, Setting
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order
from bakeoff.measure.walk import walk
from bakeoff.selftest.lending import Lendable
from bakeoff.selftest.service import INPUTS, OUTPUT, TARGET, digest
from bakeoff.workloads.prepared import Prepared
from bakeoff.workloads.writing import write_manifest, write_references, write_requests

POOL = 1 << 14
"""Requests in the pool."""
START_S = 60.0
_STALLED = POOL - 1
_REFERENCES = 64
_TRIALS, _TRIAL_ROUNDS = 25, 2000


@dataclass(frozen=True, slots=True)
class Bench:
    """One CPU for the service, one for the generator (None where there is only one), and a folder for all files."""

    folder: Path
    cpus: tuple[int, ...]
    generator_cpu: int | None

    @classmethod
    def here(cls, folder: Path) -> Bench:
        """The CPUs of this machine as a run would divide them."""
        cpus, generator_cpu = host.engine_cpus(1)
        return cls(folder, cpus, generator_cpu)

    def rounds(self, service_s: float) -> int:
        """How many rounds of work take `service_s` on the service's CPU: by the median of short trials."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cpus)
        try:
            took_ns = sorted(_trial_ns() for _ in range(_TRIALS))
        finally:
            os.sched_setaffinity(0, before)
        return max(1, round(service_s * 1e9 * _TRIAL_ROUNDS / took_ns[_TRIALS // 2]))

    def start(self, name: str, rounds: int, stall_ms: float = 0.0, answers: str = "") -> Lendable:
        """The service in a process of its own; one request of its pool stalls it, each answer is told to `answers`."""
        prepared = _prepare(self.folder / name, rounds, stall_ms)
        model = prepared.folder / "service.json"
        model.write_text(json.dumps({"rounds": rounds, "answers": answers}))
        order = Order(
            target=TARGET,
            artifact=Artifact(model, "fp32", INPUTS, (OUTPUT,)),
            setting=Setting("1x1"),
            device="cpu",
            instances="threads",
            cpus=self.cpus,
            memory_bytes=None,
            prepared=prepared.folder,
            log=self.folder / f"{name}.log",
            generator_cpu=self.generator_cpu,
        )
        return Lendable.start(order, START_S)


def stalling_seed(count: int, earliest: float, latest: float) -> int:
    """A seed with which, in a block of `count` requests, the one that stalls comes within these shares of the way."""
    for seed in itertools.count():
        places = np.flatnonzero(walk(POOL, _REFERENCES, count, seed).order[:, 0] == _STALLED)
        if len(places) and earliest <= places[0] / count <= latest:
            break
    return seed


def _prepare(folder: Path, rounds: int, stall_ms: float) -> Prepared:
    """Write the pool: random keys, and the last request stalls the service for `stall_ms`."""
    keys = np.random.default_rng(1).integers(0, 256, (POOL, 16), dtype=np.uint8)
    stalls = np.zeros(POOL, np.float32)
    stalls[_STALLED] = stall_ms
    requests = folder / "requests"
    write_requests(requests, INPUTS, {"key": keys, "stall_ms": stalls}, np.ones(POOL, np.int64))
    write_references(requests, [OUTPUT], ({OUTPUT: digest(key.tobytes(), rounds)} for key in keys[:_REFERENCES]))
    prepared = Prepared(
        folder=folder,
        key="selftest",
        name="selftest",
        data="generated",
        licence="CC0",
        citation="made for the self-test",
        inputs=INPUTS,
        outputs=(OUTPUT,),
        variants={},
        metrics=(),
        judged=OUTPUT,
        kind="rows",
        facts={"rounds": rounds},
    )
    write_manifest(prepared)
    return prepared


def _trial_ns() -> int:
    begun_ns = time.perf_counter_ns()
    digest(bytes(16), _TRIAL_ROUNDS)
    return time.perf_counter_ns() - begun_ns
