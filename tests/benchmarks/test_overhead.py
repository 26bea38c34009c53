"""Measuring costs little: in single_stream, our time per request beside a loop by hand around the same call.

Beside an engine that does nothing the loop by hand does nothing else either; beside a real one it takes the requests
from the pool and reads the clock, since any work between two calls makes the second slower, by how much is the CPU's
affair. The loops run in this process, in turn and many times, over the same inputs; what counts is the median of the
differences in readings of the clock, so that neither the machine's other work nor its speed decides.
"""

import itertools
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bakeoff.measure.serve import Left, closed_loop, fetcher
from bakeoff.measure.stamps import Stamps
from bakeoff.measure.walk import walk
from bakeoff.workloads.prepared import Prepared

pytestmark = pytest.mark.alone

CALLS = 500
REPEATS = 61
LIMIT_READINGS = 45
"""Of the clock: five microseconds where a reading takes 0.11."""
NEVER_ENDS_NS = 1 << 62


def onnxruntime_infer(prepared: Prepared):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = str(prepared.variants["base"]["onnx"])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = ["score"]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def no_op_infer(prepared: Prepared):
    answer = {"score": np.zeros(4, np.float32)}
    return lambda inputs: answer


@pytest.fixture
def _untraced():
    """No coverage tracing while our code is timed against code that is not traced."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.mark.usefixtures("_untraced")
@pytest.mark.parametrize(("make_infer", "does_more"), [(no_op_infer, False), (onnxruntime_infer, True)])
def test_single_stream_costs_little_a_request(benchmark, tiny_prepared, tmp_path, make_infer, does_more):
    infer = make_infer(tiny_prepared)
    pool = tiny_prepared.requests()
    steps = walk(pool.count, pool.references, CALLS, seed=1)
    order = steps.order[:, 0].tolist()
    inputs = [pool.get(index) for index in order]
    fetch, sampled = fetcher(pool.get, steps), steps.sampled.tobytes()
    clock, numbers = time.monotonic_ns, itertools.count()

    def bare() -> None:
        for request in inputs:
            infer(request)

    def by_hand() -> None:
        spent_ns = []
        for index in order:
            request = pool.get(index)
            begun = clock()
            infer(request)
            spent_ns.append(clock() - begun)

    def readings() -> None:
        for _ in order:
            clock()

    def ours(stamps: Stamps, left: Left) -> None:
        closed_loop(infer, fetch, sampled, stamps, left, NEVER_ENDS_NS, range(CALLS))

    def fresh() -> tuple[Stamps, Left]:
        stamps = Stamps.create(Path(tmp_path) / str(next(numbers)), CALLS)
        return stamps, Left()

    def measured() -> list[float]:
        block = fresh()
        times_ns = [clock()]
        for loop in (by_hand if does_more else bare, lambda: ours(*block), readings):
            loop()
            times_ns.append(clock())
        return [each / CALLS for each in np.diff(times_ns).tolist()]

    beside_ns, ours_ns, reading_ns = zip(*(measured() for _ in range(REPEATS)), strict=True)
    overhead_ns = statistics.median(a - b for a, b in zip(ours_ns, beside_ns, strict=True))
    found = {"beside_us": beside_ns, "ours_us": ours_ns, "reading_us": reading_ns}
    benchmark.extra_info.update({name: statistics.median(values) / 1e3 for name, values in found.items()})
    benchmark.extra_info["overhead_us"] = overhead_ns / 1e3
    benchmark.pedantic(ours, setup=lambda: (fresh(), {}), rounds=5)
    assert overhead_ns <= LIMIT_READINGS * statistics.median(reading_ns)
