"""The calibrated service as a real worker process, driven by us and by somebody else."""

import contextlib
import os
import threading
import time

import numpy as np

from bakeoff.measure.walk import walk
from bakeoff.selftest import bench as benches
from bakeoff.selftest.bench import stalling_seed


def test_longer_services_get_more_rounds(bench):
    assert bench.rounds(4e-4) < bench.rounds(4e-3)


def test_a_stall_comes_once_and_where_it_is_wanted(bench):
    seed = stalling_seed(500, 0.2, 0.4)
    with bench.start("stalling", rounds=1, stall_ms=100.0) as engine:
        block = engine.closed(60.0, limit=500, seed=seed)
    stalled = np.flatnonzero(block.service_ms() >= 100.0)
    assert len(stalled) == 1
    assert 100 <= stalled[0] <= 200
    assert walk(benches.POOL, 64, 500, seed).order[stalled[0], 0] == benches.POOL - 1


def test_a_lent_engine_serves_what_others_ask_and_ours_again_afterwards(bench):
    with bench.start("lent", rounds=100) as engine:
        for count in (50, 30):
            with engine.lent(count) as loan:
                before_ns = time.monotonic_ns()
                asking = threading.Thread(target=ask, args=(loan.pipe, count))
                asking.start()
                while not (loan.done_ns > 0).all():
                    time.sleep(0.001)
                asking.join()
            assert (loan.started_ns >= before_ns).all()
            assert (loan.done_ns > loan.started_ns).all()
        assert engine.closed(60.0, limit=20).answered.all()


def ask(pipe, count):
    for number in range(count):
        os.write(pipe, number.to_bytes(4, "little"))


def test_a_loan_that_fails_leaves_no_worker(bench):
    with bench.start("lent", rounds=1) as engine:
        (child,) = engine._children
        with contextlib.suppress(ZeroDivisionError), engine.lent(5):
            raise ZeroDivisionError
    assert child.process.poll() is not None
