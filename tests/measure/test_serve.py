"""The timed loops under a clock that the test plays."""

import itertools
import os

import numpy as np
import pytest

from bakeoff.measure.serve import STOP, Left, closed_loop, fetcher, open_loop
from bakeoff.measure.stamps import FAILED, Stamps
from bakeoff.measure.walk import Walk

pytestmark = pytest.mark.alone


def ticking(start=100, step=10):
    return itertools.count(start, step).__next__


def test_closed_loop_stamps_the_call_and_nothing_else(tmp_path):
    stamps = Stamps.create(tmp_path / "stamps", 8)
    left, seen = Left(), []
    closed_loop(
        lambda inputs: seen.append(inputs) or {"step": inputs}, lambda step: step, bytes([0, 1]), stamps, left,
        until_ns=155, steps=range(1, 8, 2), clock=ticking(),
    )  # fmt: skip
    assert stamps.started.tolist() == [0, 100, 0, 120, 0, 140, 0, 0]
    assert stamps.done.tolist() == [0, 110, 0, 130, 0, 150, 0, 0]
    assert seen == [1, 3, 5]
    assert [(step, kept["step"]) for step, kept in left.kept] == [(1, 1), (3, 3), (5, 5)]


def test_an_engines_errors_are_counted_and_the_loop_goes_on(tmp_path):
    stamps = Stamps.create(tmp_path / "stamps", 4)
    left = Left()

    def infer(step):
        if step % 2:
            raise ValueError(f"odd {step}\nand more")
        return {}

    closed_loop(infer, lambda step: step, bytes(1), stamps, left, 10_000, range(4), ticking())
    assert [done == FAILED for done in stamps.done] == [False, True, False, True]
    assert left.errors == 2
    assert left.first_error == "ValueError: odd 1"


def test_open_loop_serves_what_comes_down_the_pipe_until_stop(tmp_path):
    stamps = Stamps.create(tmp_path / "stamps", 5)
    left = Left()
    numbers = iter([2, 0, 1, STOP])

    def infer(step):
        if step == 0:
            raise RuntimeError
        if step == 1:
            stamps.drop_the_rest()
        return {"step": step}

    def read(pipe, size):
        return next(numbers).to_bytes(4, "little")

    open_loop(infer, lambda step: step, bytes([1]), stamps, left, -1, ticking(), read)
    assert stamps.started.tolist() == [120, 130, 100, 0, 0]
    assert stamps.done.tolist() == [FAILED, 140, 110, 0, 0]
    assert [step for step, _ in left.kept] == [2, 1]
    assert left.first_error == "RuntimeError"
    numbers = iter([3, 4, STOP])
    open_loop(infer, lambda step: step, bytes([1]), stamps, left, -1, ticking(), read)
    assert stamps.started.tolist()[3:] == [0, 0], "what comes after the drop is skipped"
    assert stamps.dropping


def test_open_loop_ends_when_the_pipe_does(tmp_path):
    read_end, write_end = os.pipe()
    os.close(write_end)
    open_loop(dict, dict, bytes(1), Stamps.create(tmp_path / "stamps", 1), Left(), read_end)
    os.close(read_end)


def test_fetcher_walks_the_pool_and_joins_requests(tiny_prepared):
    pool = tiny_prepared.requests()
    single = fetcher(pool.get, Walk(np.array([[5], [9]], np.int32), np.zeros(2, np.uint8)))
    np.testing.assert_array_equal(single(3)["dense"], pool.get(9)["dense"])
    joined = fetcher(pool.get, Walk(np.array([[5, 9], [1, 2]], np.int32), np.zeros(2, np.uint8)))(1)
    assert joined["dense"].shape == (12, 8)
    np.testing.assert_array_equal(joined["ids"][8:], pool.get(2)["ids"])
