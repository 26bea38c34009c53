"""The parent's handle on candidates: probe a backend, build an artifact, run an engine in its worker processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from bakeoff.backends import Artifact, Setting
from bakeoff.candidates import BASE
from bakeoff.measure import gpu_memory, loadgen
from bakeoff.measure.assembly import affinity_kept, closed_block, open_block, worker_facts
from bakeoff.measure.batching import Baton
from bakeoff.measure.block import Block, Fact, Int32, Int64
from bakeoff.measure.child import HERE, Child, Interpreter, Launch, StageFailed
from bakeoff.measure.guard import guard
from bakeoff.measure.stages import Built, Probed, build, probe
from bakeoff.measure.stamps import Stamps
from bakeoff.measure.traffic import mean_qps
from bakeoff.measure.walk import Walk, walk, walk_by_items
from bakeoff.measure.wire import Message, artifact_message
from bakeoff.measure.witness import Witness
from bakeoff.scenario.device import kind_of
from bakeoff.workloads.prepared import Prepared

__all__ = ["HERE", "Built", "Engine", "Interpreter", "Loaded", "Order", "Probed", "StageFailed", "build", "probe"]

PIPE_BYTES = 1 << 20
HEAD_START_NS = 5_000_000
ROOM = 8
"""A closed loop has room for this many times the calls that the warm-up's pace makes likely."""
FEWEST_STEPS = 4096
DEATH_S = 0.2


@dataclass(frozen=True, slots=True)
class Order:
    """One candidate to load. `instances` is the backend's; `cpus` and `generator_cpu` are CPU ids; `patience_s` is how
    long past its end a block may still be in one call before the engine counts as hanging. `memory_bytes` and
    `gpu_memory_bytes` are limits (None: none), the latter held to what a warm engine holds."""

    target: str
    artifact: Artifact
    setting: Setting
    device: str
    instances: str
    cpus: tuple[int, ...]
    memory_bytes: int | None
    prepared: Path
    log: Path
    interpreter: Interpreter = HERE
    lossy: bool = False
    variant: str = BASE
    generator_cpu: int | None = None
    patience_s: float = 20.0
    gpu_memory_bytes: int | None = None

    @property
    def processes(self) -> int:
        """Worker processes: one for each instance where the engine needs that, else one."""
        return self.setting.instances if self.instances == "processes" else 1

    @property
    def lanes_each(self) -> int:
        """Lanes in each worker process."""
        return 1 if self.instances == "processes" else self.setting.instances


@dataclass(frozen=True, slots=True)
class Loaded:
    """A started engine: seconds in the backend's `load`, seconds from the process's start to its first answer and until
    it was warm, resident size (all its processes, without the mapped requests), threads, warm-up requests, the error of
    verified answers."""

    load_s: float
    startup_s: float
    ready_s: float
    memory_bytes: int
    threads: int
    warmup_requests: int
    worst_error: float
    details: Mapping[str, Fact]


class Engine:
    """A candidate that is loaded and waits: its worker processes, their request pipe, and the blocks they play.

    A failure raises StageFailed with the stage "load", "verify", "serve" (in a block) or "quality" (in `score`); close
    the engine then. Start engines from one thread that outlives them.
    """

    loaded: Loaded

    def __init__(self, order: Order) -> None:
        self.order = order
        self._key = guard().key()
        prepared = Prepared.read(order.prepared)
        self._requests = prepared.requests()
        self._prepared = prepared
        self._children: list[Child] = []
        self._blocks = 0
        self._service_ns = 1
        self._baton = Baton.create() if order.setting.batching else None
        read_end, self._pipe = os.pipe()
        self._read_end = read_end
        os.set_blocking(self._pipe, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @classmethod
    def launch(cls, order: Order, limit_s: float) -> Self:
        """Start the worker processes and return; several engines can start at once so. `ready` comes next, with this
        limit or a later one: half of what loading and verifying leave of it may go into warming up to all sizes."""
        engine = cls(order)
        try:
            engine._start(limit_s)
        except BaseException:
            engine.close()
            raise
        return engine

    def ready(self, limit_s: float) -> Self:
        """Wait until it is loaded, verified against the reference and warm: all within `limit_s` from now."""
        deadline = time.monotonic() + limit_s
        try:
            self.loaded = self._loaded(
                self._replies("load", deadline=deadline), self._replies("verify", deadline=deadline)
            )
        except BaseException:
            self.close()
            raise
        return self

    @classmethod
    def start(cls, order: Order, limit_s: float) -> Self:
        """Launch it and wait until it is ready."""
        return cls.launch(order, limit_s).ready(limit_s)

    @property
    def lanes(self) -> int:
        """Requests that run at once."""
        return self.order.processes * self.order.lanes_each

    def closed(
        self, seconds: float, limit: int | None = None, lanes: int | None = None, join: int = 1, seed: int | None = None
    ) -> Block:
        """A closed loop: each of `lanes` (default: all) calls again as soon as it was answered, `limit` calls at most.

        Each call holds `join` requests. `seed` decides the walk through the pool; by default each block has its own.
        """
        lanes = min(lanes or self.lanes, self.lanes)
        likely = round(seconds * 1e9 / self._service_ns * lanes / join) + lanes
        capacity = limit or max(FEWEST_STEPS, ROOM * likely)
        with self._set_up(min(likely, capacity), capacity, join, seed) as (stamps, steps, paths):
            facts = self._prepare(paths | {"kind": "closed", "limit": capacity, "stride": lanes}, lanes)
            witness = Witness.now(self.order.device)
            start_ns = time.monotonic_ns() + HEAD_START_NS
            self._tell({"do": "go", "start_ns": start_ns, "until_ns": start_ns + round(seconds * 1e9)})
            replies = self._replies("serve", seconds + self.order.patience_s)
            facts |= witness.since() | worker_facts(replies, self.order.cpus, lanes)
            return closed_block(start_ns, stamps.arrays(), steps, self._requests.items, replies, facts)

    def open(
        self,
        arrivals_ns: Int64,
        grace_s: float,
        seed: int | None = None,
        offered_qps: float | None = None,
        items: Int32 | None = None,
    ) -> Block:
        """An open loop: this process plays the arrivals. What is unanswered `grace_s` after the last one is dropped.

        `offered_qps` is recorded as the rate that was asked for; by default it is what the arrivals come to. With
        `items`, each request is one of the pool's whose size is nearest to that.
        """
        with self._set_up(len(arrivals_ns), len(arrivals_ns), 1, seed, items) as (stamps, steps, paths):
            facts = self._prepare(paths | {"kind": "open"}, self.lanes)
            witness = Witness.now(self.order.device)
            with loadgen.generator(self.order.generator_cpu) as got:
                start_ns = time.monotonic_ns() + HEAD_START_NS
                self._tell({"do": "go"})
                line = loadgen.Line(self._pipe, [child.channel for child in self._children])
                played = loadgen.play(arrivals_ns, line, stamps, start_ns, grace_s)
            if played.interrupted:
                self._raise_the_dead()
            limit_s = 0.0 if played.interrupted else self.order.patience_s
            loadgen.stop(self._pipe, self.lanes, limit_s)
            replies = self._replies("serve", self.order.patience_s)
            facts |= witness.since() | worker_facts(replies, self.order.cpus, self.lanes) | got
            offered_qps = offered_qps or mean_qps(arrivals_ns)
            return open_block(
                arrivals_ns, offered_qps, played, stamps.arrays(), steps, self._requests.items, replies, facts
            )

    def score(self, into: Path, limit_s: float, most_items: int | None = None) -> float:
        """Run the held-out data and write the judged output, [rows, ...], to a .npy file; seconds it took.

        Each request is a call of its own, or joined with the next ones while the call has at most `most_items` items.
        """
        reference = self._prepared.holdout().reference
        rows = np.lib.format.open_memmap(into, mode="w+", dtype=reference.dtype, shape=reference.shape)
        rows.flush()
        for first, child in zip(self._first_lanes(), self._children, strict=True):
            share = {"first_lane": first, "stride": self.lanes}
            child.send({"do": "score", "into": str(into), "most_items": most_items} | share)
        return max(float(reply["seconds"]) for reply in self._replies("quality", limit_s))

    def dismiss(self) -> None:
        """Ask the workers to end, without waiting; `close` comes next."""
        self._tell({"do": "close"})

    def close(self) -> None:
        """End the workers and everything they started."""
        for child in self._children:
            child.end()
        self._children.clear()
        guard().forget(self._key)
        for descriptor in (self._pipe, self._read_end):
            if descriptor >= 0:
                os.close(descriptor)
        self._pipe = self._read_end = -1
        if self._baton:
            self._baton.close()
            self._baton = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, limit_s: float) -> None:
        order, baton = self.order, self._baton.ends if self._baton else ()
        launch = Launch(
            order.log,
            order.cpus,
            order.setting.threads,
            order.memory_bytes,
            order.prepared,
            order.interpreter,
            order.device,
        )
        message = {
            "target": order.target,
            "artifact": artifact_message(order.artifact),
            "setting": asdict(order.setting),
            "device": kind_of(order.device),
            "lanes": order.lanes_each,
            "prepared": str(order.prepared),
            "lossy": order.lossy,
            "variant": order.variant,
            "pipe": self._read_end,
            "baton": baton,
            "limit_s": limit_s,
        }
        for _ in range(order.processes):
            self._children.append(Child("serve", self._key, launch, inherit=[self._read_end, *baton]))
            pids = [child.process.pid for child in self._children]
            guard().watch(self._key, pids, order.memory_bytes, order.prepared)
        self._tell(message)

    def _loaded(self, loads: list[Message], starts: list[Message]) -> Loaded:
        self._service_ns = min(start["service_ns"] for start in starts)

        def longest_s(moment: str) -> float:
            pairs = zip(starts, self._children, strict=True)
            return max(int(start[moment]) - child.started_ns for start, child in pairs) / 1e9

        pids = [child.process.pid for child in self._children]
        return Loaded(
            load_s=max(load["load_s"] for load in loads),
            startup_s=longest_s("first_answer_ns"),
            ready_s=longest_s("ready_ns"),
            memory_bytes=sum(start["memory_bytes"] for start in starts),
            threads=sum(start["threads"] for start in starts),
            warmup_requests=sum(start["warmup_requests"] for start in starts),
            worst_error=max(start["worst_error"] for start in starts),
            details={
                "peak_memory_bytes": sum(load["peak_memory_bytes"] for load in loads),
                "verified": sum(start["verified"] for start in starts),
                "service_ns": self._service_ns,
                "affinity_kept": int(affinity_kept(starts, self.order.cpus)),
                **gpu_memory.held(self.order.device, pids, self.order.gpu_memory_bytes),
            }
            | {name: start[name] for start in starts for name in ("client_ns",) if name in start},
        )

    @contextlib.contextmanager
    def _set_up(
        self, likely: int, capacity: int, join: int, seed: int | None, items: Int32 | None = None
    ) -> Iterator[tuple[Stamps, Walk, dict[str, str]]]:
        """The walk and the shared arrays of a block, as files in the run's memory folder."""
        self._blocks += 1
        base = guard().folder / f"{self._key}.{self._blocks}"
        paths = {name: f"{base}.{name}.npy" for name in ("order", "sampled")} | {"stamps": f"{base}.stamps"}
        requests, seed = self._requests, self._blocks if seed is None else seed
        if items is None:
            steps = walk(requests.count, requests.references, likely, seed, join)
        else:
            steps = walk_by_items(requests.items, requests.references, items, seed)
        try:
            np.save(paths["order"], steps.order)
            np.save(paths["sampled"], steps.sampled)
            yield Stamps.create(Path(paths["stamps"]), capacity), steps, paths
        finally:
            for path in paths.values():
                Path(path).unlink(missing_ok=True)

    def _prepare(self, message: dict[str, Any], lanes: int) -> dict[str, Fact]:
        """Have the workers get ready for a block on the first `lanes` lanes."""
        for first, child in zip(self._first_lanes(), self._children, strict=True):
            mine = max(0, min(self.order.lanes_each, lanes - first))
            child.send({"do": "block", "lanes": mine, "first_lane": first} | message)
        ready = self._replies("serve", self.order.patience_s)
        return {"warmup_requests": sum(reply["ready"] for reply in ready), "lanes": lanes}

    def _raise_the_dead(self) -> None:
        """Report the worker that died, and not a healthy one that waits for the next request beside it."""
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(DEATH_S)
                child.reply("serve", time.monotonic())

    def _first_lanes(self) -> range:
        return range(0, self.lanes, self.order.lanes_each)

    def _tell(self, message: Mapping[str, Any]) -> None:
        for child in self._children:
            child.send(message)

    def _replies(self, stage: str, limit_s: float = 0.0, deadline: float | None = None) -> list[Message]:
        until = deadline if deadline is not None else time.monotonic() + limit_s
        return [child.reply(stage, until) for child in self._children]
