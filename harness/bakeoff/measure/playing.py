"""What a loaded worker does when told: play one block, or run the held-out data."""

from __future__ import annotations

import contextlib
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.measure.batching import Joiner, batched_loop, filled
from bakeoff.measure.crew import Crew, Lane, together
from bakeoff.measure.preparing import inside
from bakeoff.measure.serve import Fetch, Left, closed_loop, fetcher, open_loop
from bakeoff.measure.stamps import Stamps
from bakeoff.measure.usage import Usage
from bakeoff.measure.verify import WrongOutput
from bakeoff.measure.walk import KEPT, Walk
from bakeoff.measure.wire import Channel, Message

REWARM_CALLS = 3
KEPT_BYTES = 64 << 20


def play(crew: Crew, channel: Channel, message: Message) -> Message:
    """Play one block: a few calls to wake up, say ready, wait for the start, run the lanes, check what was kept."""
    walk = Walk(np.load(message["order"]), np.load(message["sampled"]))
    stamps = Stamps.open(Path(message["stamps"]))
    lanes = crew.lanes[: message["lanes"]]
    lefts = [Left(deque(maxlen=_room(crew, walk.join))) for _ in lanes]
    wake = fetcher(crew.get, walk)
    together((lane, partial(_wake, lane, wake, walk.steps)) for lane in lanes)
    preparers, spent = crew.preparers(len(lanes)), [lane.spent_ns() for lane in lanes]
    with _no_collection():
        before = Usage.now()
        before.forget_peaks()
        channel.send({"ready": REWARM_CALLS * len(lanes)})
        go = channel.receive()
        if go is None:
            raise ConnectionError("the parent is gone")
        loops = _loops(crew, message, go, walk, stamps, lefts, [each.get for each in preparers])
        used = _measured(before, lambda: together(zip(lanes, loops, strict=True)))
    memory = crew.memory()
    used |= {"memory_bytes": memory.bytes, "peak_memory_bytes": memory.peak_bytes, "affinity": crew.affinity()}
    if preparers:
        used["preparation_ns"] = sum(each.spent_ns for each in preparers)
    used |= _spent(spent, [lane.spent_ns() for lane in lanes])
    return used | _checked(crew, walk, lefts)


def score(crew: Crew, message: Message) -> Message:
    """Run this worker's share of the holdout and write the judged output's rows into the shared .npy file.

    Requests in order are joined up to "most_items" a call, where that is not None, as a batcher with much to do would.
    """
    requests, most_items = crew.prepared.holdout().requests, message["most_items"]
    indices = range(requests.count)
    calls = [[index] for index in indices] if most_items is None else filled(requests.items, indices, most_items)
    joiner = Joiner(requests, np.arange(requests.count))
    into = np.load(message["into"], mmap_mode="r+")
    name = crew.prepared.judged
    begun_ns = time.monotonic_ns()

    def run(lane: Lane, first: int) -> None:
        for call in calls[first :: message["stride"]]:
            answer = np.asarray(lane.infer(joiner.join(call))[name])
            rows = slice(requests.offsets[call[0]], requests.offsets[call[-1] + 1])
            if answer.shape != into[rows].shape:
                raise WrongOutput(f"output {name!r} has shape {answer.shape}, the reference {into[rows].shape}")
            if not np.isfinite(answer).all():
                raise WrongOutput(f"output {name!r} holds NaN or infinity on held-out data")
            into[rows] = answer

    together((lane, partial(run, lane, message["first_lane"] + i)) for i, lane in enumerate(crew.lanes))
    into.flush()
    return {"seconds": (time.monotonic_ns() - begun_ns) / 1e9}


def _loops(
    crew: Crew, message: Message, go: Message, walk: Walk, stamps: Stamps, lefts: list[Left], preparing: list[Fetch]
) -> list[Callable[[], None]]:
    """The timed loop of each lane; a closed loop needs no batcher, for in it no request waits.

    `preparing` gives requests' inputs by a preparation that is to be timed, one for each lane; empty without one.
    """
    loops: list[Callable[[], None]] = []
    sampled = walk.sampled.tobytes()
    for index, left in enumerate(lefts):
        infer = crew.lanes[index].infer
        get = preparing[index] if preparing else crew.requests.get
        fetch = fetcher(get, walk)
        if crew.batcher and message["kind"] == "open":
            joiner = Joiner(crew.requests, walk.order[:, 0], get)
            loops.append(partial(batched_loop, infer, joiner, sampled, stamps, left, crew.batcher))
        elif message["kind"] == "open":
            loops.append(partial(open_loop, infer, fetch, sampled, stamps, left, crew.pipe))
        else:
            steps = range(message["first_lane"] + index, message["limit"], message["stride"])
            rest = (sampled, stamps, left, go["until_ns"], steps)
            loop = (
                partial(closed_loop, inside(infer, fetch), int, *rest)
                if preparing
                else partial(closed_loop, infer, fetch, *rest)
            )
            loops.append(partial(_at, go["start_ns"], loop))
    return loops


def _at(start_ns: int, loop: Callable[[], None]) -> None:
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    loop()


def _wake(lane: Lane, fetch: Callable[[int], Arrays], steps: int) -> None:
    """A few unrecorded calls, of the requests that the walk comes to last; their errors will show in the block."""
    with contextlib.suppress(Exception):
        for back in range(1, REWARM_CALLS + 1):
            lane.infer(fetch(max(0, steps - back)))


def _room(crew: Crew, join: int) -> int:
    """How many outputs a lane may keep: twice as many as are planned, and no more than 64 MiB of them."""
    if not crew.requests.references:
        return 0
    call_bytes = join * sum(output.nbytes for output in crew.requests.reference(0).values())
    return max(1, min(2 * KEPT, KEPT_BYTES // max(1, call_bytes)))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection while a block runs. What is there before it stays frozen: to look through all that an
    engine has loaded takes longer than a short block."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _measured(before: Usage, run: Callable[[], None]) -> Message:
    """Wall time of `run`, and what was used since `before`; nothing but waiting for the start lies between the two."""
    wall_ns = -time.monotonic_ns()
    run()
    wall_ns += time.monotonic_ns()
    return before.since() | {"wall_ns": wall_ns}


def _spent(before: list[Mapping[str, int]], after: list[Mapping[str, int]]) -> Message:
    """What the engine's own lanes counted meanwhile, such as {"transfer_ns": 1000}."""
    names = {name for lane in after for name in lane}
    pairs = list(zip(before, after, strict=True))
    return {f"{name}_ns": sum(late.get(name, 0) - early.get(name, 0) for early, late in pairs) for name in names}


def _checked(crew: Crew, walk: Walk, lefts: list[Left]) -> dict[str, Any]:
    """Errors counted and kept outputs verified; raises WrongOutput."""
    errors = [
        crew.verifier.error(walk.order[step % walk.steps].tolist(), outputs)
        for left in lefts
        for step, outputs in left.kept
    ]
    return {
        "verified": len(errors),
        "worst_error": crew.verifier.judge_next(errors),
        "errors": sum(left.errors for left in lefts),
        "first_error": next((left.first_error for left in lefts if left.first_error), ""),
    }
