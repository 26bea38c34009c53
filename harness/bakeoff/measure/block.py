"""A block: one stretch of measured load on one candidate, or a sprint's legs put together, as raw stamps.

Nothing derived is stored; figures are methods, computed at reading. Needs numpy alone.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Int64 = np.ndarray[Any, np.dtype[np.int64]]
Int32 = np.ndarray[Any, np.dtype[np.int32]]
Float64 = np.ndarray[Any, np.dtype[np.float64]]
Fact = float | int | str

NEVER = -1
"""The stamp of what did not happen: a request that was not sent, not started or not answered."""

_MAGIC = b"bkof"
_VERSION = 1
_HEAD = struct.Struct("<4sHI")
_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Block:
    """The stamps of n requests, in nanoseconds since the block's start; NEVER (-1) where something did not happen.

    `request` (int32) is the pool index (of the first request of a joined call), `items` (int32) what it scored. In a
    closed block scheduled = sent = started. `done_ns` is NEVER for an error and for a request dropped at the end.
    `wall_ns` runs from the start to the last answer, or to the end of the wait where requests were dropped; `cpu_ns`
    is the CPU time that the worker processes used meanwhile. `facts` hold whatever else was recorded.
    """

    kind: Literal["open", "closed"]
    offered_qps: float | None
    request: Int32
    items: Int32
    scheduled_ns: Int64
    sent_ns: Int64
    started_ns: Int64
    done_ns: Int64
    wall_ns: int
    cpu_ns: int
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.request)

    @property
    def answered(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which requests got an answer."""
        return np.not_equal(self.done_ns, NEVER)

    def latency_ms(self) -> Float64:
        """Scheduled arrival to answer; infinite where none came, so that no percentile leaves a failure out."""
        return self._since(self.scheduled_ns)

    def sent_latency_ms(self) -> Float64:
        """Sending to answer: the engine's share, without the generator's lateness; infinite where no answer came."""
        return self._since(self.sent_ns)

    def service_ms(self) -> Float64:
        """Start to answer: the time on a lane, without the queue; infinite where no answer came."""
        return self._since(self.started_ns)

    def lateness_ms(self) -> Float64:
        """How late the generator sent; infinite where a full pipe kept it from sending at all."""
        return np.where(self.sent_ns == NEVER, np.inf, (self.sent_ns - self.scheduled_ns) / 1e6)

    def cpu_ms_per_request(self) -> float:
        """CPU time of the worker processes per answered request; NaN where none was answered."""
        count = int(self.answered.sum())
        return self.cpu_ns / 1e6 / count if count else float("nan")

    def preparation_share(self) -> float:
        """The share of the service time that preparing features took; NaN where it was not part of the request."""
        return self._share("preparation_ns")

    def transfer_share(self) -> float:
        """The share of the service time in which values went between the devices of a model that is split over several;
        NaN where the engine does not count it."""
        return self._share("transfer_ns")

    def _share(self, part: str) -> float:
        """The share of the service time that a counted part took, NaN where nobody counted.

        Requests that were joined into one call share its stamps, which count once. Failed requests are taken to have
        spent what the others did.
        """
        spent_ns = self.facts.get(part)
        begun_ns, first = np.unique(self.started_ns[self.answered], return_index=True)
        service_ns = int((self.done_ns[self.answered][first] - begun_ns).sum())
        if not isinstance(spent_ns, int | float) or service_ns <= 0:
            return float("nan")
        return float(spent_ns * self.answered.sum() / (self.started_ns != NEVER).sum() / service_ns)

    def throughput_items_per_s(self) -> float:
        """Items of answered requests per second of the block."""
        return float(self.items[self.answered].sum()) / (self.wall_ns / 1e9) if self.wall_ns else 0.0

    def error_rate(self) -> float:
        """The share of requests without an answer; NaN for an empty block."""
        return 1.0 - float(self.answered.mean()) if len(self) else float("nan")

    def to_bytes(self) -> bytes:
        """A compact, versioned form: differences between neighbouring stamps, byte planes, deflated."""
        meta = {
            "kind": self.kind,
            "offered_qps": self.offered_qps,
            "wall_ns": self.wall_ns,
            "cpu_ns": self.cpu_ns,
            "facts": dict(self.facts),
            "count": len(self),
        }
        head = json.dumps(meta, separators=(",", ":")).encode()
        packed = io.BytesIO()
        packed.write(_HEAD.pack(_MAGIC, _VERSION, len(head)) + head)
        deflate = zlib.compressobj(_LEVEL)
        for column in self._columns():
            for plane in _planes(column):
                packed.write(deflate.compress(plane))
        packed.write(deflate.flush())
        return packed.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Block:
        """The block that `to_bytes` wrote; raises ValueError for anything else."""
        if len(data) < _HEAD.size or data[:4] != _MAGIC:
            raise ValueError("not a block of stamps")
        _, version, size = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"a block of format {version}; this bakeoff reads format {_VERSION}")
        meta = json.loads(data[_HEAD.size : _HEAD.size + size])
        count = meta.pop("count")
        stream = _Inflated(memoryview(data)[_HEAD.size + size :])
        request, items = (stream.column(count, "<i4") for _ in range(2))
        scheduled_ns, sent_ns, started_ns, done_ns = (stream.column(count, "<i8") for _ in range(4))
        stream.end()
        np.cumsum(scheduled_ns, out=scheduled_ns)
        sent_ns += scheduled_ns
        started_ns += sent_ns
        done_ns += started_ns
        return cls(
            request=request,
            items=items,
            scheduled_ns=scheduled_ns,
            sent_ns=sent_ns,
            started_ns=started_ns,
            done_ns=done_ns,
            **meta,
        )

    def _columns(self) -> Iterator[np.ndarray[Any, Any]]:
        """What is stored, one after the other: the differences of a long block are not all made at once."""
        yield self.request
        yield self.items
        yield np.diff(self.scheduled_ns, prepend=np.int64(0))
        yield self.sent_ns - self.scheduled_ns
        yield self.started_ns - self.sent_ns
        yield self.done_ns - self.started_ns

    def _since(self, start_ns: Int64) -> Float64:
        return np.where(self.done_ns == NEVER, np.inf, (self.done_ns - start_ns) / 1e6)


def _planes(column: np.ndarray[Any, Any]) -> Iterator[bytes]:
    """All first bytes, then all second bytes and so on: the high ones are nearly all alike and vanish."""
    little = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
    rows = little.view(np.uint8).reshape(len(column), column.itemsize)
    return (rows[:, place].tobytes() for place in range(column.itemsize))


class _Inflated:
    """Reads columns off a deflated stream, a plane at a time: a long block is never unpacked twice over."""

    def __init__(self, deflated: memoryview) -> None:
        self._inflate = zlib.decompressobj()
        self._rest: bytes | memoryview = deflated

    def column(self, count: int, dtype: str) -> np.ndarray[Any, Any]:
        """The next `count` numbers; raises ValueError where the stream ends before."""
        column = np.empty(count, dtype)
        rows = column.view(np.uint8).reshape(count, column.itemsize)
        for place in range(column.itemsize):
            rows[:, place] = np.frombuffer(self._plane(count), np.uint8)
        return column.astype(column.dtype.newbyteorder("="), copy=False)

    def end(self) -> None:
        """Check that the stream ends here, its checksum with it; raises ValueError, zlib.error otherwise."""
        if self._inflate.decompress(self._rest) or not self._inflate.eof:
            raise ValueError("a block of stamps that does not end where it should")

    def _plane(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._inflate.decompress(self._rest, count)
            self._rest = self._inflate.unconsumed_tail
            if not part:
                raise ValueError("a block of stamps that ends too early")
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
