"""Sessions of real engines: what is slower is found to be, whatever else the machine does, and who fails is named."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from nightly_shop import PRODUCTS, ranker

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift.answers import CAPACITY, LOAD_TIME, MEMORY, P99, SERVICE_TIME
from bakeoff.measure.block import NEVER, Block
from bakeoff.measure.engine_room import Engine
from bakeoff.nightly import cases, exact, session
from bakeoff.nightly.session import BASELINE, NOW, SideFailed, affordable, changes, play, too_few
from bakeoff.scenario import from_dict, override


@pytest.fixture
def sides(shop, tmp_path):
    """Both sides of the pinned candidate, once with what is here now."""

    def found():
        (one,) = cases.find([shop.pin()], cases.Check(lambda *_: [], tmp_path, Budget(None), Silent()))
        assert one.case.known.reason == ""
        return one.case.sides

    return found


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_a_model_that_takes_half_as_long_again_is_slower_and_its_twin_is_not(shop, sides):
    alike = sides()
    twin = play(alike, "screen", 1)
    shop.serve(ranker(products=2 * PRODUCTS))
    slower = play(sides(), "confirm", 7)
    assert twin.changes[SERVICE_TIME] < math.log(1.25) < math.log(1.4) < slower.changes[SERVICE_TIME]
    assert (slower.stage, slower.number) == ("confirm", 7)
    assert slower.at.tzinfo is not None
    for figures in (slower.baseline, slower.now):
        assert figures.keys() == {SERVICE_TIME, MEMORY, LOAD_TIME}
        assert all(value > 0 for value in figures.values())
    assert slower.now[SERVICE_TIME] / slower.baseline[SERVICE_TIME] == pytest.approx(
        math.exp(slower.changes[SERVICE_TIME]), rel=0.2
    )
    alone = play(replace(alike, baseline=None), "screen", 1)
    assert (alone.changes, alone.baseline) == ({}, {})
    assert alone.now.keys() == {SERVICE_TIME, MEMORY, LOAD_TIME}


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_where_p99_decides_the_open_loop_is_long_enough_to_have_one_and_a_capacity(sides):
    found = sides()
    traffic = found.scenario.traffic.model_copy(update={"kind": "server", "qps": 100.0})
    gate = found.scenario.gate.model_copy(update={"p99": 0.1})
    asked = override(found.scenario, p99="500ms").model_copy(update={"traffic": traffic, "gate": gate})
    measured = play(replace(found, scenario=asked), "screen", 1)
    for figures in (measured.baseline, measured.now):
        assert 0 < figures[P99] < 1
        assert figures[CAPACITY] > 100
    assert measured.changes[CAPACITY] == pytest.approx(
        -math.log(measured.now[CAPACITY] / measured.baseline[CAPACITY])
    ), "less capacity is worse"


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_where_the_capacity_is_asked_for_both_sides_have_one_at_a_rate_of_the_checks_own(sides):
    found = sides()
    traffic = found.scenario.traffic.model_copy(update={"kind": "server", "qps": "max"})
    gate = found.scenario.gate.model_copy(update={"capacity": 0.1})
    asked = override(found.scenario, p99="500ms").model_copy(update={"traffic": traffic, "gate": gate})
    measured = play(replace(found, scenario=asked), "screen", 1)
    for figures in (measured.baseline, measured.now):
        assert figures[CAPACITY] > 100
        assert P99 not in figures, "a p99 is one at the traffic's own rate"
    assert CAPACITY in measured.changes


@pytest.mark.engines
@pytest.mark.slow
def test_the_side_that_does_not_start_is_blamed_and_the_other_ended(sides, monkeypatch):
    started, ended = [], []
    begin, close = Engine.start.__func__, Engine.close

    def start(cls, order, limit_s):
        started.append(begin(cls, order, limit_s))
        return started[-1]

    monkeypatch.setattr(Engine, "start", classmethod(start))
    monkeypatch.setattr(Engine, "close", lambda self: (ended.append(self), close(self))[1])
    found = sides()
    broken = replace(found.baseline, target="bakeoff_backends.onnx_runtime:NoSuchClass")
    with pytest.raises(SideFailed, match=r"^baseline: load: ") as caught:
        play(replace(found, baseline=broken), "screen", 1)
    assert caught.value.side == BASELINE
    with pytest.raises(SideFailed, match=r"^now: load: "):
        play(replace(found, now=broken), "screen", 1)
    assert set(started) <= set(ended)


def block(answered):
    """Ten calls that took 1 to 10 ms, in disorder."""
    count = len(answered)
    started = np.arange(count, dtype=np.int64) * 20_000_000
    took = 1_000_000 * (1 + np.random.default_rng(1).permutation(count))
    done = np.where(answered, started + took, NEVER)
    numbers, items, told = np.arange(count, dtype=np.int32), np.ones(count, np.int32), {"first_error": "it said no"}
    return Block("closed", None, numbers, items, started, started, started, done, int(done.max()), 1, told)


class Played:
    """As much of an engine as blocks need: the answers of its calls are given."""

    class loaded:  # noqa: N801
        details = {"service_ns": 1_000_000}  # noqa: RUF012

    def __init__(self, answered):
        self.answered, self.asked = answered, []

    def closed(self, seconds, limit, lanes, seed):
        self.asked.append((seconds, limit, lanes, seed))
        return block(self.answered)


def test_both_sides_play_the_same_requests_in_each_pair_and_others_in_the_next():
    engines = {BASELINE: Played([True] * 10), NOW: Played([True] * 10)}
    pairs = session._pairs(engines, random.Random(3))
    assert len(pairs) == session.BLOCKS
    assert engines[BASELINE].asked == engines[NOW].asked
    assert len({seed for *_, seed in engines[NOW].asked}) == session.BLOCKS
    assert {(limit, lanes) for _, limit, lanes, _ in engines[NOW].asked} == {(session.CALLS, 1)}
    assert [pair[NOW] for pair in pairs] == [pytest.approx(3e-3)] * len(pairs), "the lower quartile of ten"


def test_a_call_that_is_not_answered_is_its_sides_failure_and_no_time():
    engines = {BASELINE: Played([True] * 10), NOW: Played([True] * 9 + [False])}
    with pytest.raises(SideFailed, match="now: serve: failed: it said no"):
        session._pairs(engines, random.Random(3))


@pytest.mark.parametrize(
    ("call_s", "expected"),
    [
        (1e-5, (session.BLOCKS, session.CALLS)),
        (0.02, (session.BLOCKS, session.CALLS)),
        (0.05, (24, 5)),
        (0.1, (20, 3)),
        (10.0, (session.FEWEST_BLOCKS, session.FEWEST_CALLS)),
    ],
)
def test_slow_calls_get_fewer(call_s, expected):
    assert affordable(call_s) == expected


def test_changes_are_worse_above_zero_and_of_what_both_sides_have():
    found = changes(
        {SERVICE_TIME: 1.0, CAPACITY: 100.0, MEMORY: 0.0, P99: math.nan},
        {SERVICE_TIME: 1.1, CAPACITY: 90.0, MEMORY: 5.0, LOAD_TIME: 1.0, P99: 1.0},
    )
    assert found == {SERVICE_TIME: pytest.approx(math.log(1.1)), CAPACITY: pytest.approx(math.log(100 / 90))}


def served(qps, **more):
    traffic = {"kind": "server", "qps": qps, "duration": "1s"}
    return from_dict({"workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "50ms"}} | more)


def test_a_rate_that_carries_no_p99_is_told_and_a_little_time_is_given_for_it():
    assert session._open_loop(served(800)).seconds == 1.0
    assert session._open_loop(served(300)).seconds == pytest.approx(1.495)
    assert session._open_loop(served(100)).seconds == 1.0
    assert [bool(too_few(served(qps))) for qps in (800, 300, 100, 8)] == [False, False, True, True]
    assert too_few(served(100)) == (
        "too few requests come in the 1 s of a session's open loop; where `gate` names p99, it lasts 4.49 s"
    )
    gated = served(100, gate={"p99": "10%"})
    assert (too_few(gated), session._open_loop(gated).seconds) == ("", pytest.approx(4.485))
    assert session._open_loop(from_dict({"workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}})) is None
    (figure,) = exact.without_p99(served(100))
    assert (figure.metric, figure.gate, figure.reason) == (P99, None, too_few(served(100)))
    assert exact.without_p99(served(800)) == []
