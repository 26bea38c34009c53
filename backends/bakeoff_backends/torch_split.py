"""A model whose embedding tables lie elsewhere than its dense part: on the CPU, or shared out among several GPUs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakeoff_backends import torch_tables
from bakeoff_backends.torch_cuda import Room, Runner, leaves

if TYPE_CHECKING:
    import torch

ALIGNMENT_BYTES = 16
"""Rows of any type may start at its multiples."""


class SplitRunner(Runner):
    """Looks rows up where their tables are, brings them to the dense part in one copy from each place, and counts the
    time that this takes as "transfer".

    From the CPU that is packing the rows into pinned memory and their copy; from another GPU the copy alone, with what
    the dense part's GPU waits for the other's rows.
    """

    def __init__(self, pieces: torch_tables.Pieces, places: Sequence[torch.device], home: torch.device) -> None:
        super().__init__(torch_tables.moved(pieces.dense.module, home), home)
        self._pieces, self._places = pieces, tuple(places)
        pairs = zip(pieces.lookups, places, strict=True)
        self._lookups = [torch_tables.moved(part.module, place) for part, place in pairs]
        self._packed = [Room(home) for _ in places]
        self._clock = Clock(home)

    def __call__(self, hosts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Start the look-ups, the transfers and the dense part."""
        parts = zip(self._lookups, self._pieces.lookups, self._places, strict=True)
        found = [leaves(lookup(*_given(part, hosts, place))) for lookup, part, place in parts]
        self._clock.start()
        rows = [row for number, each in enumerate(found) for row in self._brought(number, each)]
        self._clock.stop()
        return leaves(self._model(*_given(self._pieces.dense, hosts, self.place), *rows))

    def spent_ns(self) -> Mapping[str, int]:
        """The transfers of all calls so far."""
        return {"transfer": self._clock.total_ns()}

    def _brought(self, number: int, rows: list[torch.Tensor]) -> list[torch.Tensor]:
        """The rows that were looked up in a place, where the dense part is."""
        place = self._places[number]
        if place == self.place:
            return rows
        if place.type == self.place.type:
            return [row.to(self.place, non_blocking=True) for row in rows]
        packed, layout = pack(rows, self._packed[number])
        return unpack(packed.to(self.place, non_blocking=True), layout)


def pack(rows: Sequence[torch.Tensor], room: Room) -> tuple[torch.Tensor, list[Slot]]:
    """The rows of all look-ups end to end in the room's memory, as bytes, and where each of them lies."""
    import torch

    layout: list[Slot] = []
    size = 0
    for row in rows:
        layout.append(Slot(size, row.numel() * row.element_size(), row.dtype, row.shape))
        size += -(-layout[-1].length // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    packed = room.tensor((size,), torch.uint8)
    for row, place in zip(rows, unpack(packed, layout), strict=True):
        place.copy_(row)
    return packed, layout


def unpack(packed: torch.Tensor, layout: Sequence[Slot]) -> list[torch.Tensor]:
    """The rows again, as views."""
    return [packed[s.start : s.start + s.length].view(s.dtype).view(s.shape) for s in layout]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor lies among bytes."""

    start: int
    length: int
    dtype: torch.dtype
    shape: torch.Size


class Clock:
    """Adds up stretches of a GPU's time: events on its stream, read when the next stretch starts or somebody asks.

    Packing runs on the CPU before the copy is put on the stream: the stream is idle meanwhile, so that the events
    around both tell the time of both.
    """

    def __init__(self, place: torch.device) -> None:
        import torch

        self._total_ns, self._pending = 0, False
        event: Any = torch.cuda.Event
        self._events = [event(enable_timing=True) for _ in range(2)] if place.type == "cuda" else []
        self._started_ns = 0

    def start(self) -> None:
        """A stretch begins; what was before it is read, for it has ended with its call."""
        self.total_ns()
        self._started_ns = time.monotonic_ns()
        if self._events:
            self._events[0].record()

    def stop(self) -> None:
        """The stretch ends where the stream has come to this."""
        if self._events:
            self._events[1].record()
            self._pending = True
        else:
            self._total_ns += time.monotonic_ns() - self._started_ns

    def total_ns(self) -> int:
        """All stretches so far."""
        if self._pending:
            self._events[1].synchronize()
            self._total_ns += round(self._events[0].elapsed_time(self._events[1]) * 1e6)
            self._pending = False
        return self._total_ns


def _given(part: torch_tables.Part, hosts: Sequence[torch.Tensor], place: torch.device) -> list[torch.Tensor]:
    """A part's own inputs on its device; one whose shape alone it reads stays where it is."""
    return [
        hosts[number] if number in part.shapes_alone else hosts[number].to(place, non_blocking=True)
        for number in part.inputs
    ]
