"""A clock that runs while the engine works, and not otherwise."""

from types import SimpleNamespace

import numpy as np
import pytest
from pytest_benchmark.timers import compute_timer_precision

from bakeoff.measure.block import NEVER, Block
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.lane import Clock, Lane


class Played:
    """An engine whose calls take what they are told to; the first of each block is not to count."""

    def __init__(self, *service_ns, lost=False):
        self.loaded = SimpleNamespace(details={"service_ns": 40_000_000})
        self.service_ns, self.asked, self.lost = service_ns, [], lost

    def closed(self, seconds, limit, lanes):
        self.asked.append((limit, lanes))
        taken = np.array([999_999_999, *self.service_ns][:limit], np.int64)
        done = np.cumsum(taken)
        started = done - taken
        if self.lost:
            done[-1] = NEVER
        numbers = np.arange(len(done), dtype=np.int32)
        return Block("closed", None, numbers, numbers, started, started, started, done, int(done[-1]), 0)


def test_each_call_moves_the_clock_by_its_own_service_time_and_no_other_thing_does():
    clock, engine = Clock(), Played(50_000, 70_000, 60_000)
    lane, readings = Lane(engine, clock), []
    for _ in range(4):
        before = clock()
        lane.call()
        readings.append(clock() - before)
    assert readings == pytest.approx([50e-6, 70e-6, 60e-6, 50e-6], rel=1e-9)
    assert engine.asked[0] == (7, 1), "a quarter of a second of calls that take 40 ms, and one to wake up"
    assert engine.asked[1][0] == 1 + 4096, "by then their pace is known"


def test_several_calls_between_two_readings_add_up():
    clock = Clock()
    lane, before = Lane(Played(50_000, 70_000), clock), clock()
    lane.call()
    lane.call()
    assert clock() - before == pytest.approx(120e-6, rel=1e-9)


def test_pytest_benchmark_can_tell_the_clocks_resolution():
    assert compute_timer_precision(Clock()) == pytest.approx(1e-9)


def test_a_call_without_an_answer_is_a_failure_and_no_time():
    with pytest.raises(StageFailed, match="no request was answered"):
        Lane(Played(50_000, lost=True), Clock()).call()


@pytest.mark.slow
def test_it_is_the_workers_own_time_that_is_read(bench):
    clock = Clock()
    with bench.start("Sluggish") as slow, bench.start("Honest") as quick:
        sluggish, honest = [], []
        for engine, readings in ((slow, sluggish), (quick, honest)):
            lane = Lane(engine, clock)
            for _ in range(15):
                before = clock()
                lane.call()
                readings.append(clock() - before)
    assert min(sluggish) >= 0.02
    assert np.median(honest) < 0.005, "setting up a block and sending its message alone take longer than that"
