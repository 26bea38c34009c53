"""What the judging reads off a block: latencies with the unanswered at infinity, service times, and memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bakeoff.measure.block import Block
from bakeoff.store.percentile import Floats

Flags = np.ndarray[Any, np.dtype[np.bool_]]

MS = 1e6
S = 1e9


def answered(block: Block) -> Flags:
    """Which requests were answered, and not before they were due or begun: stamps that run backwards are no answer."""
    done = block.done_ns
    return (done >= 0) & (block.started_ns >= 0) & (done > block.started_ns) & (done > block.scheduled_ns)


def backwards(block: Block) -> bool:
    """Whether a request claims to be done before it was due or begun: such a clock proves nothing."""
    return bool(np.any((block.done_ns >= 0) & ~answered(block)))


def latency_ms(block: Block) -> Floats:
    """From the scheduled arrival to the answer; infinite where none came."""
    return _since(block, block.scheduled_ns)


def sent_latency_ms(block: Block) -> Floats:
    """From the moment of sending to the answer, which leaves the generator's lateness out; infinite where none came."""
    return _since(block, block.sent_ns)


def service_s(block: Block) -> Floats:
    """How long the engine worked on each answered request, in the order measured."""
    valid = answered(block)
    return np.asarray((block.done_ns - block.started_ns)[valid] / S, dtype=np.float64)


def dispatch_s(block: Block, lanes: int) -> float:
    """The median time from sending to starting where a lane was idle: what the pipe costs, with no queue in it."""
    valid = answered(block)
    sent, started = block.sent_ns[valid], block.started_ns[valid]
    if not len(sent):
        return 0.0
    finished = np.searchsorted(np.sort(block.done_ns[valid]), sent, side="right")
    idle = np.arange(len(sent)) - finished < lanes
    waits = np.maximum(started - sent, 0) / S
    return float(np.median(waits[idle])) if idle.any() else float(waits.min())


def asked(blocks: Sequence[Block], open_loop: bool) -> list[Block]:
    """Those played as the traffic comes, which the SLA is judged by: of live traffic (`open_loop`) the open ones."""
    return [block for block in blocks if block.kind == "open" or not open_loop]


def busy(blocks: Sequence[Block]) -> list[Block]:
    """Those that say what calls take on a busy replica: closed loops where there are any, else all."""
    return [block for block in blocks if block.kind == "closed"] or list(blocks)


def mean_items(block: Block) -> float:
    """The mean number of items in an answered request; NaN where none was answered."""
    items = block.items[answered(block)]
    return float(items.mean()) if len(items) else float("nan")


def joined(arrays: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """One array of several, in order."""
    return np.concatenate(arrays) if arrays else np.empty(0)


def _since(block: Block, start_ns: np.ndarray[Any, Any]) -> Floats:
    return np.where(answered(block), (block.done_ns - start_ns) / MS, np.inf)


def peak_memory_bytes(blocks: Sequence[Block]) -> float | None:
    """The most that these blocks saw it hold; None where none saw it."""
    found = (block.facts.get(name) for block in blocks for name in ("peak_memory_bytes", "memory_bytes"))
    peaks = [float(peak) for peak in found if isinstance(peak, int | float)]
    return max((peak for peak in peaks if math.isfinite(peak) and peak > 0.0), default=None)
