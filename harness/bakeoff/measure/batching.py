"""The dynamic batcher: requests that wait become one call of the engine, whose answer is taken apart again.

One lane collects at a time, the one that holds the baton, while the others compute: so it goes for the threads of a
process as for processes that share the request pipe. An engine knows nothing of it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Batching, Unsupported
from bakeoff.measure.block import Int32, Int64
from bakeoff.measure.serve import NUMBER_BYTES, STOP, Clock, Fetch, Infer, Left
from bakeoff.measure.stamps import FAILED, Stamps
from bakeoff.workloads.prepared import Requests

READ_AT_ONCE = 256
"""Request numbers that one read takes from the pipe at most; what it takes beyond a batch goes on with the baton."""
_MOST_BYTES = 4096
_STOP = STOP.to_bytes(NUMBER_BYTES, "little")

Read = Callable[[int, int], bytes]
Ready = Callable[[int, float], bool]


@dataclass(frozen=True, slots=True)
class Baton:
    """The right to collect: a pipe with one message in it, which the lane that collects has taken out.

    The message: when its holder last read the request pipe (monotonic ns), and the numbers left over from that.
    """

    read_end: int
    write_end: int

    @classmethod
    def create(cls) -> Baton:
        """A new one, free to be taken, and nothing left over."""
        baton = cls(*os.pipe())
        baton.pass_on(0, memoryview(b""))
        return baton

    @property
    def ends(self) -> tuple[int, int]:
        """Its descriptors, for the processes that share it."""
        return self.read_end, self.write_end

    def take(self) -> tuple[int, memoryview]:
        """Wait until it is free and take it: when requests were last read, and those left over (uint32), in order."""
        message = memoryview(os.read(self.read_end, _MOST_BYTES))
        return int.from_bytes(message[:8], "little"), message[8:].cast("I")

    def pass_on(self, read_ns: int, left_over: memoryview) -> None:
        """Set it free, for this lane too; no more than READ_AT_ONCE may be left over."""
        os.write(self.write_end, read_ns.to_bytes(8, "little") + left_over.tobytes())

    def close(self) -> None:
        """Close both ends."""
        os.close(self.read_end)
        os.close(self.write_end)


def readable(pipe: int, seconds: float) -> bool:
    """Wait for something to read, `seconds` at most (to the microsecond, where poll counts milliseconds)."""
    return bool(select.select([pipe], [], [], seconds)[0])


@dataclass(frozen=True, slots=True)
class Batcher:
    """How a worker's lanes come by their batches: the limits, the right to collect, and where requests come from."""

    batching: Batching
    baton: Baton
    pipe: int
    clock: Clock = time.monotonic_ns
    read: Read = os.read
    ready: Ready = readable

    def collect(self, items: Sequence[int]) -> tuple[list[int], bool]:
        """The steps of the next batch, and whether STOP (or the pipe's end) came after them.

        `items[step % len(items)]` is what a step scores. A request that is too large for any batch goes alone; one
        that does not fit into this batch any more begins the next, whichever lane collects it.
        """
        most, period = self.batching.most_items, len(items)
        read_ns, waiting = self.baton.take()
        if not waiting:
            waiting, read_ns = self._read(), self.clock()
        until_ns = read_ns + round(self.batching.wait_ms * 1e6)
        steps: list[int] = []
        total, at, stop = 0, 0, False
        while total < most:
            if at == len(waiting):
                if not self.ready(self.pipe, max(0, until_ns - self.clock()) / 1e9):
                    break
                waiting, read_ns, at = self._read(), self.clock(), 0
            step = waiting[at]
            if stop := step == STOP:
                at += 1
                break
            more = items[step % period]
            if steps and total + more > most:
                break
            steps.append(step)
            total, at = total + more, at + 1
        self.baton.pass_on(read_ns, waiting[at:])
        return steps, stop

    def _read(self) -> memoryview:
        return memoryview(self.read(self.pipe, NUMBER_BYTES * READ_AT_ONCE) or _STOP).cast("I")


class Joiner:
    """Puts requests together along their rows, and takes the answers apart again.

    Step s stands for the pool request `order[s % len(order)]`; `items` says what each scores. `get` gives a request's
    inputs, by default as the pool holds them.
    """

    def __init__(self, requests: Requests, order: Int32 | Int64, get: Fetch | None = None) -> None:
        order = np.ascontiguousarray(order, np.int64)
        self.items = np.ascontiguousarray(requests.items[order], np.int64).data
        self._get, self._order, self._steps = get or requests.get, order.data, len(order)
        self._rows = np.ascontiguousarray(np.diff(requests.offsets)[order], np.int64).data

    def rows(self, steps: Sequence[int]) -> int:
        """The rows of one call."""
        return sum(self._rows[step % self._steps] for step in steps)

    def join(self, steps: Sequence[int]) -> Arrays:
        """The inputs of one call; of one request alone, views of the pool."""
        parts = [self._get(self._order[step % self._steps]) for step in steps]
        return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def split(self, outputs: Arrays, steps: Sequence[int]) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Each request's own answer, as views of the call's."""
        if len(steps) == 1:
            return [dict(outputs)]
        answers, end = [], 0
        for step in steps:
            begin, end = end, end + self._rows[step % self._steps]
            answers.append({name: output[begin:end] for name, output in outputs.items()})
        return answers


def batched_loop(
    infer: Infer,
    joiner: Joiner,
    sampled: bytes,
    stamps: Stamps,
    left: Left,
    batcher: Batcher,
    clock: Clock = time.monotonic_ns,
) -> None:
    """Serve the requests that come down the pipe in batches until STOP; skip them once told to drop the rest.

    All requests of a batch have its times: from its being complete (so that joining counts) to its being taken apart.
    """
    header, started, done = stamps.header, stamps.started, stamps.done
    period, items, stop = len(sampled), joiner.items, False
    while not stop:
        steps, stop = batcher.collect(items)
        if header[0] or not steps:
            continue
        begun = clock()
        for step in steps:
            started[step] = begun
        try:
            answers = joiner.split(infer(joiner.join(steps)), steps)
            ended = clock()
        except Exception as error:
            left.failed(error, len(steps))
            ended, answers = FAILED, []
        for step in steps:
            done[step] = ended
        for step, answer in zip(steps, answers, strict=False):
            if sampled[step % period]:
                left.kept.append((step, {name: np.array(output) for name, output in answer.items()}))


def require_joinable(artifact: Artifact) -> None:
    """Raise Unsupported where requests of the model cannot be put together row by row."""
    whole = [tensor.name for tensor in artifact.inputs if tensor.per == "request"]
    if whole:
        raise Unsupported(f"a batcher cannot join requests whose input {whole[0]!r} belongs to the request as a whole")
    fixed = [tensor.name for tensor in artifact.inputs if tensor.shape and tensor.shape[0] is not None]
    if fixed:
        raise Unsupported(f"a batcher cannot join requests whose input {fixed[0]!r} has a fixed number of rows")


def require_rows(outputs: Arrays, rows: int) -> None:
    """Raise Unsupported where a joined call's answer cannot be taken apart by its rows."""
    for name, output in outputs.items():
        if not output.ndim or len(output) != rows:
            shape = tuple(output.shape)
            raise Unsupported(f"a batcher cannot split output {name!r}: shape {shape} for {rows} rows of input")


def fillings(requests: Requests, most_items: int) -> list[list[int]]:
    """Pool indices of joined calls, each of two or more requests and as full as `most_items` lets it be; only of
    requests with reference outputs, where there are any."""
    indices = range(requests.references or requests.count)
    return [batch for batch in filled(requests.items, indices, most_items) if len(batch) > 1]


def joined_sizes(requests: Requests, most_items: int) -> list[list[int]]:
    """Pool indices of joined calls of two or more requests, one as near as can be to `most_items` and to each power of
    two below: a batcher makes calls of any size, down to two of the smallest requests."""
    items = requests.items[: requests.references or requests.count]
    ascending = np.argsort(items, kind="stable").tolist()
    least = max(2, int(items[ascending[:2]].sum()))
    found, limit = [], most_items
    while limit >= least and len(items) > 1:
        calls = [call for call in filled(items, ascending, limit) if len(call) > 1]
        found.append(max(calls, key=lambda call: int(items[call].sum())))
        limit = 1 << ((limit - 1).bit_length() - 1)
    return found


def filled(items: Sequence[int] | np.ndarray[Any, Any], indices: Sequence[int], most_items: int) -> list[list[int]]:
    """`indices` in order, cut into calls as full as `most_items` lets them be; `items[i]` is what request i scores.

    A request that is too large for any call has one of its own.
    """
    calls: list[list[int]] = []
    room = 0
    for index in indices:
        if not calls or items[index] > room:
            calls.append([])
            room = most_items
        calls[-1].append(index)
        room -= int(items[index])
    return calls
