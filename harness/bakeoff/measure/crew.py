"""A loaded engine inside its worker: the lanes that call it, the requests they call it with, and who checks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from bakeoff.backends import Session
from bakeoff.measure import procs
from bakeoff.measure.batching import Batcher
from bakeoff.measure.preparing import Preparer
from bakeoff.measure.serve import Fetch
from bakeoff.measure.verify import Verifier
from bakeoff.workloads.preparation import Preparation
from bakeoff.workloads.prepared import Prepared, Requests


class Lane:
    """A thread of its own and what it uses of the session.

    It lives as long as the worker: engines keep thread pools and caches for each thread that calls them.
    """

    def __init__(self, session: Session) -> None:
        self.infer, self.spent_ns = session.infer, session.spent_ns
        self._thread = ThreadPoolExecutor(1)

    def start(self, job: Callable[[], None]) -> Future[None]:
        """Begin a job on this lane's thread."""
        return self._thread.submit(job)

    def do(self, job: Callable[[], None]) -> None:
        """Do a job on this lane's thread, to its end; raises what it raises."""
        self.start(job).result()


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident size now, and at its largest since the peaks were last forgotten."""

    bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Crew:
    """What plays blocks. `pipe` is the descriptor that request numbers come from; `batcher` joins them, if any.

    With a `preparation`, requests start from their raw form.
    """

    lanes: tuple[Lane, ...]
    prepared: Prepared
    requests: Requests
    verifier: Verifier
    pipe: int
    batcher: Batcher | None = None
    preparation: Preparation | None = None

    @property
    def get(self) -> Fetch:
        """The inputs of a pool request as the engine is to have them, where nobody counts the time."""
        return Preparer(self.requests, self.preparation).get if self.preparation else self.requests.get

    def preparers(self, lanes: int) -> tuple[Preparer, ...]:
        """One that counts for each of so many lanes; none where there is nothing to prepare."""
        return tuple(Preparer(self.requests, self.preparation) for _ in range(lanes)) if self.preparation else ()

    def memory(self) -> Memory:
        """What this process and all that it started hold, without the mapped workload."""
        everyone = {os.getpid(), *procs.descendants(os.getpid())}
        mapped = sum(procs.resident_bytes_under(pid, self.prepared.folder) for pid in everyone)
        now, peak = (sum(map(size, everyone)) for size in (procs.resident_bytes, procs.peak_resident_bytes))
        return Memory(now - mapped, max(now, peak) - mapped)

    def affinity(self) -> list[int]:
        """The CPUs that any thread of this process, and of all that it started, may run on."""
        everyone = {os.getpid(), *procs.descendants(os.getpid())}
        return sorted(set().union(*map(procs.affinity, everyone)))


def together(jobs: Iterable[tuple[Lane, Callable[[], None]]]) -> None:
    """Do one job on each lane, all at once; raises the first error once all have ended."""
    for future in [lane.start(job) for lane, job in jobs]:
        future.result()
