"""The reported latencies against the truth: the queue's own recursion over the schedule and the service times."""

import subprocess
import sys

import numpy as np
import pytest

from bakeoff.measure.traffic import poisson

pytestmark = pytest.mark.alone


def lindley_done_ns(scheduled_ns, service_ns):
    """When one server that takes requests in order answers each: done = max(scheduled, done before) + service."""
    done_ns, free_ns = np.empty_like(scheduled_ns), 0
    for i, (at_ns, takes_ns) in enumerate(zip(scheduled_ns.tolist(), service_ns.tolist(), strict=True)):
        free_ns = max(at_ns, free_ns) + takes_ns
        done_ns[i] = free_ns
    return done_ns


def test_reported_latencies_hold_the_queue_and_little_else(bench):
    """A 20 ms service at 35 QPS: most of the tail is queue, which a clock started at the send would miss."""
    with bench.start("Sluggish") as engine:
        block = engine.open(poisson(35, 2.0, 4), grace_s=10.0)
    assert block.answered.all()
    truth_ms = (lindley_done_ns(block.scheduled_ns, block.done_ns - block.started_ns) - block.scheduled_ns) / 1e6
    excess_ms = block.latency_ms() - truth_ms
    assert excess_ms.min() > -1e-3, "nothing can be faster than its own queue"
    assert np.median(excess_ms) < 10
    assert np.percentile(truth_ms, 90) > 30
    np.testing.assert_allclose(np.percentile(block.latency_ms(), 90), np.percentile(truth_ms, 90), rtol=0.5)


MILLION = """
import os
import numpy as np
from bakeoff.measure.assembly import open_block
from bakeoff.measure.block import Block
from bakeoff.measure.loadgen import Played
from bakeoff.measure.procs import peak_resident_bytes
from bakeoff.measure.traffic import poisson
from bakeoff.measure.walk import walk

n = 1_000_000
arrivals = poisson(100_000, 10, 1)
stamps = (arrivals + 1_000_100, arrivals + 1_500_000)
reply = {"cpu_ns": 1}
before = peak_resident_bytes(os.getpid())
block = open_block(arrivals, 1e5, Played(1_000_000, arrivals + 10, 0, False), stamps,
                   walk(5000, 100, n, 1), np.full(5000, 100), [reply], {})
packed = block.to_bytes()
del arrivals, stamps, block
assert len(Block.from_bytes(packed)) == n
print((peak_resident_bytes(os.getpid()) - before) / 1e6)
"""


def test_a_million_requests_fit_into_a_small_parent():
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 80
