"""An engine whose request pipe another process's generator may feed for a block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bakeoff.measure import loadgen
from bakeoff.measure.block import Int64
from bakeoff.measure.engine_room import Engine


@dataclass(slots=True)
class Loan:
    """The request pipe's write end, and absolute monotonic stamps: all there once the loan has ended."""

    pipe: int
    started_ns: Int64
    done_ns: Int64


class Lendable(Engine):
    """An engine that can be lent out."""

    @contextmanager
    def lent(self, count: int) -> Iterator[Loan]:
        """The workers wait for the request numbers 0 to count - 1; leave it once all are answered."""
        with self._set_up(count, count, 1, None) as (stamps, _, paths):
            self._prepare(paths | {"kind": "open"}, self.lanes)
            self._tell({"do": "go"})
            started_ns, done_ns = stamps.arrays()
            loan = Loan(self._pipe, started_ns[:count], done_ns[:count])
            os.set_blocking(self._pipe, True)
            try:
                yield loan
            finally:
                os.set_blocking(self._pipe, False)
                stamps.drop_the_rest()
                loadgen.stop(self._pipe, self.lanes, self.order.patience_s)
            self._replies("serve", self.order.patience_s)
