"""A process that loads an engine's plugin and bare loops over one artifact, and plays blocks of calls when told to.

    python -m bare.child ORDER

ORDER is a file with a pickled `Built`. Orders come on stdin and answers go to stdout, one JSON object a line. Every
call has a request of its own, real and distinct from the one before; only the call stands between the clock's readings.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Option, Session, create
from bakeoff.workloads.prepared import Prepared
from bare import loop
from bare.ground import DEVICE, Built

MOST_REQUESTS = 64
WARM_UP_CALLS, WARM_UP_S = 3, 0.1


@dataclass(slots=True)
class Loaded:
    """A plugin's session or a bare loop, with its inputs by number of items once they are asked for."""

    loop: loop.Loop
    inputs: dict[int, list[Any]]
    session: Session | None = None
    next: int = 0


class Player:
    """What the orders are carried out on."""

    def __init__(self, built: Built) -> None:
        self._built = built
        self._pool = Prepared.read(built.prepared).requests()
        self._loaded: dict[str, Loaded] = {}

    def load(self, name: str, options: Mapping[str, Option] | None = None, path: str = "") -> dict[str, Any]:
        """The plugin with its setting where there are no options, otherwise the bare loop with them."""
        artifact = replace(self._built.artifact, path=Path(path)) if path else self._built.artifact
        if options is None:
            session = create(self._built.target).load(artifact, self._built.setting, DEVICE)
            self._loaded[name] = Loaded(loop.Loop(lambda request: request, session.infer), {}, session)
        else:
            self._loaded[name] = Loaded(loop.module(self._built.engine).loop(artifact, options), {})
        return {}

    def drop(self, name: str) -> dict[str, Any]:
        """Forget it."""
        del self._loaded[name]
        gc.collect()
        return {}

    def play(self, name: str, items: int, seconds: float, fewest: int) -> dict[str, Any]:
        """The median time of a call, over a block of `seconds` and at least `fewest` calls."""
        each = self._loaded[name]
        inputs = self._inputs(each, items)
        times_ns = block(each.loop.call, inputs, each.next, seconds, fewest)
        each.next += len(times_ns)
        return {"p50_us": statistics.median(times_ns) / 1e3}

    def callers(self, name: str, items: int, seconds: float, threads: int) -> dict[str, Any]:
        """Calls a second of so many threads together, each on a lane of its own of the plugin's session."""
        each = self._loaded[name]
        assert each.session is not None
        lanes = [each.session.lane(i) for i in range(threads)]
        inputs = self._inputs(each, items)
        return {"rate": rate([lane.infer for lane in lanes], inputs, seconds)}

    def error(self) -> dict[str, Any]:
        """The plugin's largest and median relative error (Euclidean norm) of an output, over the requests with a
        reference."""
        session = create(self._built.target).load(self._built.artifact, self._built.setting, DEVICE)
        found = [
            relative_error(session.infer(self._pool.get(index)), self._pool.reference(index))
            for index in range(self._pool.references)
        ]
        return {"error": max(found), "median": statistics.median(found), "requests": len(found)}

    def build(self, options: Mapping[str, Option], into: str) -> dict[str, Any]:
        """Build the workload anew with the engine's own options for it."""
        model = Prepared.read(self._built.prepared).model()
        return {"path": str(loop.module(self._built.engine).build(model, options, Path(into)))}

    def _inputs(self, each: Loaded, items: int) -> list[Any]:
        """The requests of so many items as the loop takes them; at first use it is warmed up on them."""
        if items not in each.inputs:
            chosen = np.flatnonzero(self._pool.items == items)[:MOST_REQUESTS].tolist()
            each.inputs[items] = [each.loop.given(self._pool.get(index)) for index in chosen]
            block(each.loop.call, each.inputs[items], 0, WARM_UP_S, WARM_UP_CALLS)
        return each.inputs[items]


def block(call: Callable[[Any], Any], inputs: Sequence[Any], first: int, seconds: float, fewest: int) -> list[int]:
    """Nanoseconds of each call, over the inputs in turn."""
    clock, size, times_ns = time.perf_counter_ns, len(inputs), list[int]()
    until = clock() + int(seconds * 1e9)
    for number in count(first):
        given = inputs[number % size]
        begun = clock()
        call(given)
        done = clock()
        times_ns.append(done - begun)
        if done >= until and len(times_ns) >= fewest:
            break
    return times_ns


def rate(calls: Sequence[Callable[[Any], Any]], inputs: Sequence[Any], seconds: float) -> float:
    """Calls a second of all callers together, each a thread that goes on until the time is up."""
    gate, rates = threading.Barrier(len(calls)), [0.0] * len(calls)

    def play(place: int) -> None:
        calls[place](inputs[place % len(inputs)])  # a lane's first call makes what it needs
        gate.wait()
        begun, number = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < seconds or not number:
            calls[place](inputs[(number * len(calls) + place) % len(inputs)])
            number += 1
        rates[place] = number / elapsed

    threads = [threading.Thread(target=play, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def relative_error(answer: Arrays, expected: Arrays) -> float:
    """The largest of the outputs'; infinite where one has another shape or is no number."""
    errors = []
    for name, values in expected.items():
        if answer[name].shape != values.shape:
            return float("inf")
        error = float(np.linalg.norm(answer[name] - values) / np.linalg.norm(values))
        errors.append(error if np.isfinite(error) else float("inf"))
    return max(errors)


def main(order: str) -> None:
    """Carry orders out until stdin ends. What an engine prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    player = Player(pickle.loads(Path(order).read_bytes()))
    gc.disable()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(player, asked.pop("do"))(**asked)
        except Exception as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
