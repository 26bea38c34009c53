import os
import socket
import time

import numpy as np
import pytest

from bakeoff.measure import loadgen
from bakeoff.measure.block import NEVER
from bakeoff.measure.loadgen import SPIN_NS, Hands, Line, generator, play, spin_ns, stop
from bakeoff.measure.serve import STOP
from bakeoff.measure.stamps import Stamps

pytestmark = pytest.mark.alone


class World:
    """A clock that moves when slept on and a little at each look, and a pipe that takes `room` numbers."""

    def __init__(self, room=10**9):
        self.now = 0
        self.room = room
        self.written = []
        self.hands = Hands(self.look, self.sleep, self.write)

    def look(self):
        self.now += 100
        return self.now

    def sleep(self, seconds):
        self.now += round(seconds * 1e9)

    def write(self, pipe, number):
        if len(self.written) >= self.room:
            raise BlockingIOError
        self.written.append(int.from_bytes(number, "little"))
        return 4


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_requests_go_out_on_time_and_in_order(pair, tmp_path):
    world, stamps = World(), Stamps.create(tmp_path / "stamps", 3)
    for i in range(3):
        stamps.done[i] = 1
    played = play(np.array([0, 1_000_000, 50_000_000]), Line(-1, [pair[0]]), stamps, 1_000_000, 1.0, world.hands)
    assert world.written == [0, 1, 2]
    assert (played.sent_ns - [0, 1_000_000, 50_000_000] >= 0).all()
    assert (played.sent_ns - [0, 1_000_000, 50_000_000] < 1000).all()
    assert not played.interrupted
    assert played.pipe_waits == 0
    assert stamps.dropping
    assert played.ended_ns < 60_000_000, "all answered: no need to wait for the grace"


def test_a_full_pipe_delays_and_then_ends(pair, tmp_path):
    world, stamps = World(room=2), Stamps.create(tmp_path / "stamps", 3)
    played = play(np.array([0, 1000, 2000]), Line(-1, [pair[0]]), stamps, 0, 0.05, world.hands)
    assert (played.sent_ns == NEVER).tolist() == [False, False, True]
    assert 45 <= played.pipe_waits <= 51
    assert 50_000_000 <= played.ended_ns < 60_000_000


def test_unanswered_requests_are_waited_for_and_no_longer_than_the_grace(pair, tmp_path):
    world, stamps = World(), Stamps.create(tmp_path / "stamps", 1)
    played = play(np.array([0]), Line(-1, [pair[0]]), stamps, 0, 0.2, world.hands)
    assert 200_000_000 <= played.ended_ns < 210_000_000


def test_a_worker_that_dies_interrupts(pair, tmp_path):
    world, stamps = World(), Stamps.create(tmp_path / "stamps", 100)
    pair[1].close()
    played = play(np.arange(100) * 10**8, Line(-1, [pair[0]]), stamps, 0, 5.0, world.hands)
    assert played.interrupted
    assert len(world.written) < 3
    full, stamps = World(room=0), Stamps.create(tmp_path / "more", 1)
    assert play(np.array([0]), Line(-1, [pair[0]]), stamps, 0, 5.0, full.hands).ended_ns < 10**9


def test_spin_takes_no_more_than_its_share():
    assert spin_ns(10) == SPIN_NS
    assert spin_ns(10_000) * 10_000 == pytest.approx(0.15e9)
    assert spin_ns(0) == SPIN_NS


def test_every_lane_gets_its_stop():
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    stop(write_end, 3, 1.0)
    assert os.read(read_end, 100) == STOP.to_bytes(4, "little") * 3
    os.write(write_end, bytes(65536))
    stop(write_end, 1, 0.01)
    os.close(read_end)
    os.close(write_end)


def test_generator_gives_back_what_it_took():
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    with generator(min(before[0])) as got:
        begun_ns = time.thread_time_ns()
        assert os.sched_getaffinity(0) == {min(before[0])}
        assert got["generator_cpu"] == min(before[0])
        assert got["generator_realtime"] == int(os.sched_getscheduler(0) == os.SCHED_FIFO)
        while time.thread_time_ns() < begun_ns + 5_000_000:
            pass
    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before
    assert 5_000_000 <= got["generator_cpu_ns"] <= got["generator_wall_ns"]
    assert got["generator_waited_ns"] >= 0
    assert got["generator_switches"] >= 0


def test_generator_without_permission_goes_on(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(loadgen.os, "sched_setscheduler", refuse)
    with generator(None) as got:
        assert got == {"generator_cpu": -1, "generator_realtime": 0}
