"""Measuring costs little: in single_stream, our time per request beside a bare loop around the same call.

Both loops run in this process, in turn and many times, over the same inputs; what counts is the median of the
differences, so that the machine's other work hits both alike.
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
LIMIT_US = 5.0
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
@pytest.mark.parametrize("make_infer", [no_op_infer, onnxruntime_infer])
def test_single_stream_costs_at_most_5_us_a_request(benchmark, tiny_prepared, tmp_path, make_infer):
    infer = make_infer(tiny_prepared)
    pool = tiny_prepared.requests()
    steps = walk(pool.count, pool.references, CALLS, seed=1)
    inputs = [pool.get(index) for index in steps.order[:, 0].tolist()]
    fetch, sampled = fetcher(pool.get, steps), steps.sampled.tobytes()
    numbers = itertools.count()

    def bare() -> None:
        for request in inputs:
            infer(request)

    def ours(stamps: Stamps, left: Left) -> None:
        closed_loop(infer, fetch, sampled, stamps, left, NEVER_ENDS_NS, range(CALLS))

    def fresh() -> tuple[Stamps, Left]:
        stamps = Stamps.create(Path(tmp_path) / str(next(numbers)), CALLS)
        return stamps, Left()

    def measured() -> tuple[float, float]:
        block = fresh()
        times_ns = [time.perf_counter_ns()]
        bare()
        times_ns.append(time.perf_counter_ns())
        ours(*block)
        times_ns.append(time.perf_counter_ns())
        bare_ns, ours_ns = np.diff(times_ns) / CALLS
        return float(bare_ns) / 1e3, float(ours_ns) / 1e3

    pairs = [measured() for _ in range(REPEATS)]
    overhead_us = statistics.median(with_us - bare_us for bare_us, with_us in pairs)
    benchmark.extra_info["bare_us"] = statistics.median(bare_us for bare_us, _ in pairs)
    benchmark.extra_info["ours_us"] = statistics.median(with_us for _, with_us in pairs)
    benchmark.extra_info["overhead_us"] = overhead_us
    benchmark.pedantic(ours, setup=lambda: (fresh(), {}), rounds=5)
    assert overhead_us <= LIMIT_US
