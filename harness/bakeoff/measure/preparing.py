"""The preparation of a request's features inside the timed path, with a count of the time that it takes.

Nothing of this runs where a scenario does not include the preparation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.measure.serve import Clock, Fetch
from bakeoff.measure.verify import WrongOutput
from bakeoff.workloads.preparation import Preparation
from bakeoff.workloads.prepared import Requests

Answer = TypeVar("Answer")


class Preparer:
    """One lane's way to the inputs of a request, from its raw form; `spent_ns` is what the preparation took so far."""

    __slots__ = ("_clock", "_prepare", "_raw", "spent_ns")

    def __init__(self, requests: Requests, preparation: Preparation, clock: Clock = time.monotonic_ns) -> None:
        self._raw, self._prepare, self._clock = requests.raw, preparation, clock
        self.spent_ns = 0

    def get(self, index: int) -> Arrays:
        """The inputs of request `index`."""
        raw = self._raw(index)
        begun = self._clock()
        inputs = self._prepare(raw)
        self.spent_ns += self._clock() - begun
        return inputs


def inside(infer: Callable[[Arrays], Answer], fetch: Fetch) -> Callable[[int], Answer]:
    """A call that fetches the request of a step, and so prepares it, before the engine has it."""
    return lambda step: infer(fetch(step))


def require_inputs(prepared: Arrays, inputs: Arrays, index: int) -> None:
    """Raise WrongOutput unless the preparation of request `index` gave the very inputs that the pool holds."""
    for name, right in inputs.items():
        got = prepared.get(name)
        if got is None or got.dtype != right.dtype or not np.array_equal(got, right):
            raise WrongOutput(f"the preparation of request {index} gives another {name!r} than the model's input")
