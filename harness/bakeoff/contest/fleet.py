"""Engines loaded together: started side by side, bounded by memory, and ended together."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bakeoff.backends import LOSSLESS
from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget, blame_budget
from bakeoff.contest.load import LEGS, ClosedLoop, OpenLoop
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.plan import Question
from bakeoff.contest.reporter import Reporter
from bakeoff.measure import gpu, gpu_memory, host
from bakeoff.measure.assembly import put_together
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine, Order, StageFailed

AT_ONCE = 2
"""Engines that start at the same time: nothing is measured meanwhile."""
START_LIMIT_S = 120.0
START_SHARE = 0.25
"""The share of the budget left that one start may take, but never under LEAST_START_S."""
LEAST_START_S = 10.0
START_GUESS_S = 3.0
MEMORY_SHARE = 0.6
"""The share of the free memory that engines loaded together may take."""


Bytes = tuple[int, int]
"""In memory and on GPUs."""


class Engines(dict[str, Engine]):
    """Engines that are loaded together, by name; `waiting` are those that the memory does not hold beside them."""

    waiting: Sequence[str] = ()


class Fleet:
    """Brings engines up for a scenario and measures blocks on them; failures go to the notebook."""

    def __init__(
        self,
        question: Question,
        places: Mapping[str, Path],
        notebook: Notebook,
        logs: Path,
        budget: Budget,
        reporter: Reporter,
    ) -> None:
        self._question = question
        self._scenario = question.scenario
        self._places = places
        self._notebook = notebook
        self._logs = logs
        self._budget = budget
        self._reporter = reporter
        self._starts_s: dict[str, float] = {}
        self._sizes: dict[str, Bytes] = {}

    def start_s(self, names: Iterable[str]) -> float:
        """How long bringing up this group takes, by what each of it took the last time."""
        each_s = [self._starts_s.get(name, START_GUESS_S) for name in names]
        return sum(max(each_s[first : first + AT_ONCE]) for first in range(0, len(each_s), AT_ONCE))

    @contextmanager
    def loaded(self, names: Iterable[str]) -> Iterator[Engines]:
        """The named engines in fresh processes, loaded and verified; those that fail have their ledger row instead, and
        those for which no memory is left wait for their turn."""
        engines = Engines()
        try:
            self._bring_up(list(names), engines)
            yield engines
        finally:
            for engine in engines.values():
                engine.dismiss()
            for engine in engines.values():
                engine.close()

    def measure(
        self, engines: Engines, name: str, load: OpenLoop | ClosedLoop, number: int, position: int
    ) -> Block | None:
        """Measure one block into the notebook; a candidate that fails leaves the engines and gets its row (None)."""
        block = self._play(engines, name, load, f"{number}/{position}")
        if block is not None:
            self._notebook.block(name, number, position, block)
        return block

    def relay(self, engines: Engines, loads: Mapping[str, ClosedLoop], number: int, position: int) -> None:
        """Measure a block of each candidate, leg by leg in turn, there and back; one that fails drops out."""
        turns, legs = list(loads), {name: list[Block]() for name in loads}
        for leg in range(LEGS):
            for name in [name for name in turns if name in engines]:
                block = self._play(engines, name, loads[name].leg, f"{number}/{position}/{leg}")
                legs[name] += [] if block is None else [block]
            turns.reverse()
        for name in [name for name in loads if name in engines]:
            self._notebook.block(name, number, position, put_together(legs[name]))

    def _play(self, engines: Engines, name: str, load: OpenLoop | ClosedLoop, which: str) -> Block | None:
        """`which` block it is makes its seed, the same for every candidate."""
        self._reporter.measuring(f"{self._scenario.name}: {name}", self._budget.left_or_none)
        seed = random.Random(f"{self._scenario.seed}/{self._scenario.name}/{which}").getrandbits(32)
        try:
            with self._reporter.quiet():
                return load.play(engines[name], seed)
        except StageFailed as failed:
            engines.pop(name).close()
            self._notebook.failed(name, failed)
            return None

    def _bring_up(self, waiting: list[str], engines: Engines) -> None:
        device = self._scenario.resources.device
        room = (
            host.available_memory_bytes() * MEMORY_SHARE,
            (gpu.least_memory_bytes(device) or math.inf) * MEMORY_SHARE,
        )
        while waiting and (starting := self._fitting(waiting, engines, room)):
            waiting = waiting[len(starting) :]
            limit_s = min(START_LIMIT_S, max(LEAST_START_S, START_SHARE * self._budget.left))
            for name, engine in self._launched(starting, limit_s).items():
                try:
                    engines[name] = engine.ready(limit_s)
                    self._starts_s[name], self._sizes[name] = engine.loaded.ready_s, _size(engine)
                    self._notebook.loaded(name, engine.loaded)
                except StageFailed as failed:
                    remedy = "a larger `--budget` waits longer"
                    self._notebook.failed(name, blame_budget(failed, limit_s, START_LIMIT_S, "its start", remedy))
        engines.waiting = waiting

    def _fitting(self, waiting: Sequence[str], engines: Engines, room: tuple[float, float]) -> list[str]:
        """The next that start together, as far as all fit into the room by what each took the last time; the very first
        starts in any case, and one that never started is taken to fit where there is room left."""
        held, starting = [_size(engine) for engine in engines.values()], list[str]()
        for name in waiting[:AT_ONCE]:
            held.append(self._sizes.get(name, (1, 1)))
            if len(held) > 1 and any(
                sum(sizes) > limit for sizes, limit in zip(zip(*held, strict=True), room, strict=True)
            ):
                break
            starting.append(name)
        return starting

    def _launched(self, names: Iterable[str], limit_s: float) -> Engines:
        engines = Engines()
        for name in names:
            try:
                log = log_path(self._logs, self._scenario.name, name, "serve")
                engines[name] = Engine.launch(order(self._question, name, self._places[name], log), limit_s)
            except StageFailed as failed:
                self._notebook.failed(name, failed)
        return engines


def order(question: Question, name: str, place: Path, log: Path) -> Order:
    """What starts a candidate on the scenario's CPUs: its artifact lies at `place`, what it prints goes to `log`."""
    (entry,) = (each for each in question.entries if each.candidate.id == name)
    artifact, _ = artifacts.kept_or_fail(place)
    cpus, generator_cpu = host.engine_cpus(question.scenario.resources.cpus)
    memory_bytes = None if entry.candidate.remote else question.scenario.resources.memory_bytes
    return Order(
        target=entry.target,
        artifact=artifact,
        setting=entry.candidate.setting,
        device=entry.candidate.device,
        instances=entry.instances,
        cpus=cpus,
        memory_bytes=memory_bytes,
        prepared=question.prepared.folder,
        log=log,
        interpreter=entry.interpreter,
        lossy=entry.candidate.precision not in LOSSLESS or entry.candidate.variant in question.prepared.inexact,
        variant=question.prepared.place(entry.candidate.variant),
        generator_cpu=generator_cpu,
        gpu_memory_bytes=question.scenario.resources.gpu_memory_bytes,
    )


def _size(engine: Engine) -> Bytes:
    """What it holds in memory, and on GPUs as far as the driver tells."""
    return engine.loaded.memory_bytes, int(engine.loaded.details.get(gpu_memory.FACT, 0))


def log_path(logs: Path, scenario: str, candidate: str, stage: str) -> Path:
    """Where a candidate's engine prints at a stage."""
    return logs / f"{scenario}.{candidate.replace('/', '_')}.{stage}.log"
