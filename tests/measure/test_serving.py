"""The warm-up of a worker: every size of request is called before anything is measured, as far as the limit goes."""

import time

import numpy as np
import pytest

from bakeoff.backends import Session, Tensor
from bakeoff.measure.crew import Crew, Lane
from bakeoff.measure.serving import _half_way_ns, _warm_up
from bakeoff.workloads.prepared import Requests
from bakeoff.workloads.writing import write_requests

INPUTS = (Tensor("dense", "float32", (None, 2)),)
SIZES = list(range(1, 61))


class Seeing(Session):
    def __init__(self):
        self.sizes = []

    def infer(self, inputs):
        time.sleep(0.001)
        self.sizes.append(len(inputs["dense"]))
        return {}


@pytest.fixture
def crew(tmp_path):
    write_requests(tmp_path, INPUTS, {"dense": np.zeros((sum(SIZES), 2), np.float32)}, SIZES)
    return Crew((Lane(Seeing()),), None, Requests(tmp_path, INPUTS, ("score",)), None, -1)


def seen(crew):
    return crew.lanes[0].infer.__self__.sizes


def test_every_size_is_called_first_the_largest_before_the_others(crew):
    facts = _warm_up(crew, time.monotonic_ns() + 60 * 10**9)
    assert seen(crew)[: len(SIZES)] == SIZES[::-1]
    assert facts["warmup_requests"] == len(seen(crew))


def test_what_the_limit_does_not_leave_time_for_is_left_out(crew):
    _warm_up(crew, time.monotonic_ns() + 10**7)
    assert seen(crew)[0] == 60
    assert seen(crew)[: len(SIZES)] != SIZES[::-1]


def test_half_of_what_is_left_of_the_start_is_for_the_sizes():
    now_ns = time.monotonic_ns()
    assert 5.0 <= (_half_way_ns(now_ns + 10 * 10**9) - now_ns) / 1e9 < 6.0
