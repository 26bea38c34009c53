"""What the processes of a candidate used while a block ran, thread by thread: read inside the worker."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bakeoff.measure import procs
from bakeoff.measure.wire import Message


@dataclass(frozen=True, slots=True)
class Usage:
    """This process and all that it started, at one moment."""

    children: frozenset[int]
    cpu_ns: int
    switches: int
    disk_faults: int
    threads: Mapping[int, procs.OnCpu]

    @classmethod
    def now(cls, also: frozenset[int] = frozenset()) -> Self:
        """Read the counters; `also` are children to count though they may have ended."""
        children = also | procs.descendants(os.getpid())
        own = resource.getrusage(resource.RUSAGE_SELF)
        return cls(
            children,
            time.process_time_ns() + sum(map(procs.cpu_ns, children)),
            own.ru_nivcsw,
            own.ru_majflt,
            {thread: used for pid in (os.getpid(), *children) for thread, used in procs.on_cpu(pid).items()},
        )

    def since(self) -> Message:
        """CPU time in all and of each thread that is left, run-queue waits of these, involuntary switches, and waits
        for the disk because memory that was mapped was not there.

        The worker's first thread is none of the engine's: it waits for the lanes, and reads these counters.
        """
        now, nothing = Usage.now(self.children), procs.OnCpu(0, 0)
        engines = now.threads.keys() - {os.getpid()}
        spans = [(self.threads.get(thread, nothing), now.threads[thread]) for thread in engines]
        return {
            "cpu_ns": now.cpu_ns - self.cpu_ns,
            "waited_ns": sum(after.waited_ns - before.waited_ns for before, after in spans),
            "involuntary_switches": now.switches - self.switches,
            "disk_faults": now.disk_faults - self.disk_faults,
            "threads": procs.threads(os.getpid()),
            "thread_cpu_ns": [after.cpu_ns - before.cpu_ns for before, after in spans],
        }

    def forget_peaks(self) -> None:
        """Let the peaks of memory begin anew, so that a block's peak is the block's own."""
        for pid in (os.getpid(), *self.children):
            procs.forget_peak(pid)
