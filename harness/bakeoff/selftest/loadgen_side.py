"""MLPerf LoadGen in a process of its own: `python -m bakeoff.selftest.loadgen_side ORDER PARENT_PID`.

It drives a worker of ours as a Python user would: `issue_query` puts the request's number into the worker's queue (its
request pipe), and a thread that waits for the answers calls `QuerySamplesComplete`. Both threads get all that our own
generator gets: its CPU, real-time priority where that is permitted, precise sleeps, no garbage collection. LoadGen's
logging thread keeps out of their way.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.measure import procs
from bakeoff.measure.loadgen import PRIORITY
from bakeoff.measure.serve import NUMBER_BYTES

SEEN = "seen.json"
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class LoadGenOrder:
    """A block for LoadGen: `count` requests at `qps` into the descriptor `pipe`, answers from the named pipe `answers`,
    logs into `folder`; `cpu` is the generator's own, None where it has none."""

    pipe: int
    answers: str
    qps: float
    count: int
    seed: int
    folder: str
    cpu: int | None


class Side:
    """The system under test as LoadGen sees it; `issued_ns` are monotonic stamps of its calls, one for each request."""

    def __init__(self, order: LoadGenOrder, loadgen: Any) -> None:
        self._order = order
        self._loadgen = loadgen
        self._answers = os.open(order.answers, os.O_RDONLY | os.O_NONBLOCK)
        self._outstanding: deque[int] = deque()
        self.issued_ns: list[int] = []
        self.realtime = False

    def loaded(self, _samples: Any) -> None:
        """LoadGen calls this in the issuing thread, before the first request."""
        self.realtime = _take_priority()

    def issue(self, samples: Any) -> None:
        """Send what LoadGen issues."""
        for sample in samples:
            number = len(self.issued_ns).to_bytes(NUMBER_BYTES, "little")
            self._outstanding.append(sample.id)
            self.issued_ns.append(time.monotonic_ns())
            os.write(self._order.pipe, number)

    def answer(self) -> None:
        """Tell LoadGen of answers as they come; the worker's one lane gives them in the order asked."""
        _take_priority()
        response, complete = self._loadgen.QuerySampleResponse, self._loadgen.QuerySamplesComplete
        left = self._order.count
        while left:
            count = len(os.read(self._answers, _CHUNK))
            complete([response(self._outstanding.popleft(), 0, 0) for _ in range(count)])
            left -= count

    def forget(self) -> None:
        """Drop the answers to what others asked before; from now on reading waits for an answer."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._answers, _CHUNK):
                pass
        os.set_blocking(self._answers, True)


def main(path: str, parent: str) -> None:
    """Play the order, and leave what was seen beside LoadGen's logs."""
    procs.die_with_parent(int(parent))
    import mlperf_loadgen

    order = LoadGenOrder(**json.loads(Path(path).read_text()))
    if order.cpu is not None:
        os.sched_setaffinity(0, {order.cpu})
    side = Side(order, mlperf_loadgen)
    side.forget()
    gc.freeze()
    gc.disable()
    answering = threading.Thread(target=side.answer)
    answering.start()
    _test(order, side, mlperf_loadgen)
    answering.join()
    seen = {"issued_ns": side.issued_ns, "realtime": int(side.realtime)}
    Path(order.folder, SEEN).write_text(json.dumps(seen))


def _test(order: LoadGenOrder, side: Side, loadgen: Any) -> None:
    """One performance test of LoadGen's Server scenario, its logs as they are by default."""
    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.Server
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.server_target_qps = order.qps
    settings.min_query_count = order.count
    settings.min_duration_ms = 0
    settings.schedule_rng_seed = order.seed
    logs = loadgen.LogSettings()
    logs.log_output.outdir = order.folder
    sut = loadgen.ConstructSUT(side.issue, lambda: None)
    library = loadgen.ConstructQSL(1, 1, side.loaded, lambda _samples: None)
    loadgen.StartTestWithLogSettings(sut, library, settings, logs)
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(sut)


def _take_priority() -> bool:
    """Precise sleeps for this thread, and real-time priority; whether that was permitted."""
    procs.set_timer_slack(1)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
