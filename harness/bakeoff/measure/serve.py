"""The timed loops: what happens between two readings of the clock is the engine's call and nothing else.

A lane (a thread) runs one of them. Clock and pipe are arguments, so that tests can play them.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from bakeoff.backends import Arrays, describe
from bakeoff.measure.stamps import FAILED, Stamps
from bakeoff.measure.walk import Walk

STOP = 0xFFFFFFFF
"""The request number that ends an open loop: one for each lane."""
NUMBER_BYTES = 4

Infer = Callable[[Arrays], Arrays]
Fetch = Callable[[int], Arrays]
Clock = Callable[[], int]
Request = TypeVar("Request")


@dataclass(slots=True)
class Left:
    """What a lane leaves behind besides its stamps: (step, outputs) of the last sampled calls, and its errors."""

    kept: deque[tuple[int, Arrays]] = field(default_factory=deque)
    errors: int = 0
    first_error: str = ""

    def failed(self, error: Exception, requests: int = 1) -> None:
        """Count an exception of the engine, by the requests that it cost."""
        self.errors += requests
        self.first_error = self.first_error or describe(error)


def fetcher(get: Fetch, walk: Walk) -> Fetch:
    """The inputs of step s: `get` of its pool request, or the rows of several put together for a joined call."""
    steps, join = walk.steps, walk.join
    order = np.ascontiguousarray(walk.order).reshape(-1).data
    if join == 1:
        return lambda step: get(order[step % steps])

    def joined(step: int) -> dict[str, np.ndarray[Any, Any]]:
        first = step % steps * join
        parts = [get(index) for index in order[first : first + join]]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return joined


def closed_loop(
    infer: Callable[[Request], Arrays],
    fetch: Callable[[int], Request],
    sampled: bytes,
    stamps: Stamps,
    left: Left,
    until_ns: int,
    steps: range,
    clock: Clock = time.monotonic_ns,
) -> None:
    """Call the engine again as soon as it answered, for the given steps, until the clock says `until_ns`.

    What `fetch` does is not timed.
    """
    started, done = stamps.started, stamps.done
    period = len(sampled)
    for step in steps:
        inputs = fetch(step)
        begun = clock()
        if begun >= until_ns:
            return
        try:
            outputs = infer(inputs)
            now = clock()
        except Exception as error:
            left.failed(error)
            started[step], done[step] = begun, FAILED
            continue
        started[step] = begun
        done[step] = now
        if sampled[step % period]:
            left.kept.append((step, outputs))


def median_ns(
    infer: Infer, inputs: Arrays, calls: int, limit_ns: int, clock: Callable[[], int] = time.monotonic_ns
) -> int:
    """What the median takes of up to `calls` calls of one request, one after the other for about `limit_ns`."""
    spent_ns: list[int] = []
    while len(spent_ns) < calls and sum(spent_ns) < limit_ns:
        begun = clock()
        infer(inputs)
        spent_ns.append(clock() - begun)
    return int(np.median(spent_ns))


def open_loop(
    infer: Infer,
    fetch: Fetch,
    sampled: bytes,
    stamps: Stamps,
    left: Left,
    pipe: int,
    clock: Clock = time.monotonic_ns,
    read: Callable[[int, int], bytes] = os.read,
) -> None:
    """Serve the request numbers that come down the pipe until STOP; skip them once the parent says to drop the rest."""
    header, started, done = stamps.header, stamps.started, stamps.done
    period = len(sampled)
    while True:
        number = read(pipe, NUMBER_BYTES)
        begun = clock()
        step = int.from_bytes(number, "little")
        if step == STOP or not number:
            return
        if header[0]:
            continue
        started[step] = begun
        try:
            outputs = infer(fetch(step))
            done[step] = clock()
        except Exception as error:
            left.failed(error)
            done[step] = FAILED
            continue
        if sampled[step % period]:
            left.kept.append((step, outputs))
