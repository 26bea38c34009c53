"""The load generator: the parent plays arrival times by writing request numbers down a pipe.

Sleep until shortly before an arrival, then spin; the spin is capped so that it takes 15 % of a core at most.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bakeoff.measure import procs
from bakeoff.measure.block import NEVER, Int64
from bakeoff.measure.serve import NUMBER_BYTES, STOP
from bakeoff.measure.stamps import UNANSWERED, Stamps

SPIN_NS = 100_000
SPIN_SHARE = 0.15
LOOK_EVERY_NS = 20_000_000
RETRY_S = 0.001
PRIORITY = 1


class HasDescriptor(Protocol):
    """Something to poll on."""

    def fileno(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Line:
    """Where requests go: the pipe's write end (non-blocking), and the channels on which a dying worker shows."""

    pipe: int
    channels: Sequence[HasDescriptor]


@dataclass(frozen=True, slots=True)
class Hands:
    """What the generator does it with; tests put theirs in."""

    clock: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], None] = time.sleep
    write: Callable[[int, bytes], int] = os.write


@dataclass(frozen=True, slots=True)
class Played:
    """What the generator saw: absolute start, `sent` stamps relative to it (NEVER: not sent), and when it ended.

    `pipe_waits` counts the milliseconds that it waited for room in the pipe.
    """

    start_ns: int
    sent_ns: Int64
    ended_ns: int
    interrupted: bool
    pipe_waits: int = 0


def spin_ns(qps: float) -> int:
    """How long to spin before an arrival."""
    return int(min(SPIN_NS, SPIN_SHARE * 1e9 / qps)) if qps > 0 else SPIN_NS


def play(
    arrivals_ns: Int64, line: Line, stamps: Stamps, start_ns: int, grace_s: float, hands: Hands | None = None
) -> Played:
    """Send every request at its time after `start_ns`, wait for the answers, then have the rest dropped.

    A full pipe delays what follows (the lateness shows it) and never past the grace. A worker that says something or
    dies meanwhile ends the play at once (`interrupted`).
    """
    hands = hands or Hands()
    sent = np.full(len(arrivals_ns), NEVER, np.int64)
    end_ns = start_ns + int(arrivals_ns[-1]) + round(grace_s * 1e9)
    with contextlib.closing(select.epoll()) as watched:
        for channel in line.channels:
            watched.register(channel.fileno(), select.EPOLLIN | select.EPOLLHUP)
        pipe_waits = _send_all(arrivals_ns, line.pipe, sent.data, start_ns, end_ns, watched, hands)
        while hands.clock() < end_ns and not watched.poll(0) and _unanswered(stamps, len(sent)):
            hands.sleep(RETRY_S)
        stamps.drop_the_rest()
        return Played(start_ns, sent, hands.clock(), bool(watched.poll(0)), pipe_waits)


def _send_all(
    arrivals_ns: Int64,
    pipe: int,
    sent: memoryview,
    start_ns: int,
    end_ns: int,
    watched: select.epoll,
    hands: Hands,
) -> int:
    """The timed loop: nothing but a wait, a stamp and a write for each request, and a look round now and then.

    Gives how often it waited for RETRY_S because the pipe was full.
    """
    clock, sleep, write = hands.clock, hands.sleep, hands.write
    due, numbers = np.ascontiguousarray(arrivals_ns, np.int64).data, np.arange(len(arrivals_ns), dtype="<u4").tobytes()
    spin = spin_ns(len(arrivals_ns) / max(int(arrivals_ns[-1]) / 1e9, 1e-9))
    look_ns, pipe_waits = start_ns, 0
    for i in range(len(due)):
        at = start_ns + due[i]
        now = clock()
        if now > look_ns:
            if watched.poll(0):
                return pipe_waits
            look_ns = now + LOOK_EVERY_NS
        while now < at:
            if at - now > spin:
                sleep((at - now - spin) / 1e9)
            now = clock()
        number = numbers[NUMBER_BYTES * i : NUMBER_BYTES * (i + 1)]
        while True:
            try:
                write(pipe, number)
                break
            except BlockingIOError:
                pipe_waits += 1
                sleep(RETRY_S)
                now = clock()
                if now >= end_ns or watched.poll(0):
                    return pipe_waits
        sent[i] = now - start_ns
    return pipe_waits


def _unanswered(stamps: Stamps, count: int) -> bool:
    """Whether an answer is still to come; the last requests are looked at first, they are the likeliest to lack."""
    _, done = stamps.arrays()
    done = done[:count]
    return bool((done[-64:] == UNANSWERED).any() or (done == UNANSWERED).any())


def stop(pipe: int, lanes: int, limit_s: float) -> None:
    """Send each lane its STOP, as the pipe takes them; give up after `limit_s`."""
    deadline = time.monotonic() + limit_s
    for _ in range(lanes):
        while time.monotonic() < deadline:
            try:
                os.write(pipe, STOP.to_bytes(NUMBER_BYTES, "little"))
                break
            except BlockingIOError:
                time.sleep(RETRY_S)


@contextlib.contextmanager
def generator(cpu: int | None) -> Iterator[dict[str, int]]:
    """Make this thread a generator for a while: its own CPU, real-time priority where permitted, precise sleeps, no
    garbage collection.

    Gives what was got: {"generator_cpu": id or -1, "generator_realtime": 0 or 1}; and once it is over, for how long it
    was (`generator_wall_ns`), how long it ran (`generator_cpu_ns`), how long and how often another task kept it from
    running (`generator_waited_ns`, `generator_switches`).
    """
    affinity, policy, parameters = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    collecting = gc.isenabled()
    got = {"generator_cpu": -1 if cpu is None else cpu, "generator_realtime": 0}
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        got["generator_realtime"] = 1
    procs.set_timer_slack(1)
    gc.disable()
    before = _used()
    try:
        yield got
    finally:
        got.update({name: value - before[name] for name, value in _used().items()})
        if collecting:
            gc.enable()
        procs.set_timer_slack(0)
        if got["generator_realtime"]:
            os.sched_setscheduler(0, policy, parameters)
        os.sched_setaffinity(0, affinity)


def _used() -> dict[str, int]:
    """What this thread used since it began."""
    return {
        "generator_wall_ns": time.monotonic_ns(),
        "generator_cpu_ns": time.thread_time_ns(),
        "generator_waited_ns": procs.on_cpu_here().waited_ns,
        "generator_switches": resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw,
    }
