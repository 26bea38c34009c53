"""One lane of an engine, a call at a time, for those who time calls themselves and read a clock to do so.

The worker plays short closed blocks of its own, as fast as it can; each `call` then takes the next of their requests,
and the clock moves on by what the worker measured of it. So neither a pipe nor this process is timed, and the engine
is as busy as in any closed block; the first call of a block, before which the worker slept, is left out.
"""

from __future__ import annotations

from collections import deque

from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine, StageFailed

LOAD = "closed loop, one lane"
"""What these calls are called where service times of several loads may meet: under open-loop load a call takes longer,
for the caches and the clock rate have gone down before it."""
BLOCK_S = 0.25
MOST_CALLS = 4096
PATIENCE = 8.0
"""A block may take so many times what its calls took before."""
LEAST_S = 1.0


class Clock:
    """Reads seconds: the service time of all calls so far. It stands still otherwise, but for the nanosecond, its
    resolution, by which two readings without a call between them differ: a timer that never moves cannot be tried out.
    """

    def __init__(self) -> None:
        self._ns = 0
        self._moved = False

    def __call__(self) -> float:
        if not self._moved:
            self._ns += 1
        self._moved = False
        return self._ns / 1e9

    def move(self, service_ns: int) -> None:
        """A call took so long."""
        self._ns += service_ns
        self._moved = True


class Lane:
    """Calls of an engine, a request each, which move a clock."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._call_ns = float(engine.loaded.details["service_ns"])
        self._played: deque[int] = deque()

    def call(self) -> None:
        """Take the next call; raises StageFailed where the engine failed."""
        if not self._played:
            self._played.extend(self._block())
        self._clock.move(self._played.popleft())

    def _block(self) -> list[int]:
        """The service times of the next calls, in order, in nanoseconds."""
        calls = round(min(MOST_CALLS, max(1.0, BLOCK_S * 1e9 / self._call_ns)))
        block = self._engine.closed(max(LEAST_S, PATIENCE * calls * self._call_ns / 1e9), calls + 1, lanes=1)
        served_ns = served(block)[1:] or served(block)
        self._call_ns = max(1.0, sum(served_ns) / len(served_ns))
        return served_ns


def served(block: Block) -> list[int]:
    """The service times of a closed block of one lane in nanoseconds; raises StageFailed where a request failed."""
    if not len(block) or not block.answered.all():
        raise StageFailed("serve", "failed", str(block.facts.get("first_error", "no request was answered")))
    return [int(value) for value in block.done_ns - block.started_ns]
