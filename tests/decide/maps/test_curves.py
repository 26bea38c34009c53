"""Service lines fitted to blocks of several sizes, and what a replica carries by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.backends import Batching, Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.batching import Service
from bakeoff.decide.capacity import POISSON, capacity_qps
from bakeoff.decide.evidence import gather
from bakeoff.decide.maps.curves import Curve, Queue, fit
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import from_dict
from bakeoff.store.record import BlockRecord, CandidateRecord

SIZES = np.random.default_rng(0).choice([100, 200, 400, 800], 800)
ONE = np.full(800, 200)
RNG = np.random.default_rng(5)
RATIOS = tuple((lambda drawn: drawn / drawn.mean())(RNG.gamma(25.0, 1 / 25.0, 2000)).tolist())
QUEUE = Queue(1, None, 0.0, 99.0, 0, POISSON)


def asked(**traffic):
    usual = {"kind": "server", "qps": 100, "batch_size": 200}
    return from_dict({"workload": "ctr-dlrm", "traffic": usual | traffic, "sla": {"p99": "20ms"}})


def evidence(block, items=SIZES, base_ms=0.5, per_item_ms=0.01, rounds=(1, 2, 3), **more):
    blocks = [
        BlockRecord(
            number, 0, lambda number=number: block(base_ms + per_item_ms * items, items=items, seed=number, **more)
        )
        for number in rounds
    ]
    return gather(CandidateRecord(Candidate("ort", "fp32", Setting("1x1")), blocks=tuple(blocks)), asked(), 1)


def curve(base_s=5e-4, per_item_s=1e-5, sizes=(100, 800), queue=QUEUE, rounds=(1.0,)):
    lines = {number: (base_s * off, per_item_s * off) for number, off in enumerate(rounds, 1)}
    return Curve("ort", lines, Service(base_s, per_item_s, RATIOS), sizes, sizes, 0.0, 0.5, (100.0,), 1.0, 1, queue)


def test_the_line_of_each_round_is_found_again(block):
    found = fit([evidence(block)], asked())
    assert set(found.rounds) == {1, 2, 3}
    for base_s, per_item_s in found.rounds.values():
        assert base_s == pytest.approx(5e-4, rel=0.15)
        assert per_item_s == pytest.approx(1e-5, rel=0.03)
    assert found.sizes == found.asked == (100, 200, 400, 800)
    assert np.mean(found.middle.ratios) == pytest.approx(1.0, abs=1e-3)
    assert found.misfit < 0.02
    busy = 100 * (5e-4 + 1e-5 * SIZES.mean())
    assert found.busiest == pytest.approx(busy, rel=0.05)
    assert [found.measured(items) for items in (99, 100, 800, 801)] == [False, True, True, False]


def test_a_size_that_lies_off_the_line_is_told(block):
    kinked = evidence(block, base_ms=np.where(SIZES == 800, 4.0, 0.5))
    assert fit([kinked], asked()).misfit > 0.05


def test_runs_at_other_sizes_are_fitted_together_in_the_rounds_that_both_had(block):
    one = evidence(block, items=ONE, base_ms=0.5, per_item_ms=0.01)
    other = evidence(block, items=4 * ONE, rounds=(2, 3, 4))
    found = fit([one, other], asked())
    assert found.sizes == (200, 800)
    assert set(found.rounds) == {2, 3}
    assert found.seconds(400) == pytest.approx(4.5e-3, rel=0.03)


def test_by_one_size_a_larger_call_takes_its_share_and_a_smaller_one_as_long(block):
    found = fit([evidence(block, items=ONE)], asked())
    assert found.seconds(400) == pytest.approx(2 * found.seconds(200))
    assert found.seconds(50) == found.seconds(200)


@pytest.mark.parametrize("lanes", [1, 2])
def test_it_carries_what_a_replay_of_the_same_calls_does(lanes):
    queue = Queue(lanes, None, 2e-4, 99.0, 0, POISSON)
    for items, limit_ms in ((100, 4.0), (400, 20.0), (800, 40.0)):
        found = curve(queue=queue, rounds=(0.9, 1.1)).capacities(items, limit_ms)
        for number, off in ((1, 0.9), (2, 1.1)):
            times = off * (5e-4 + 1e-5 * items) * np.array(RATIOS)
            replayed = capacity_qps(times, lanes, 2e-4, 99.0, limit_ms, 0)
            assert found[number] == pytest.approx(replayed, rel=0.03)


@pytest.mark.parametrize(
    "queue",
    [
        Queue(1, Batching(1600, 1.0), 0.0, 99.0, 0, POISSON),
        Queue(1, None, 0.0, 99.0, 0, Pattern("burst", 3.0, 0.2, 0.5)),
    ],
    ids=["batcher", "bursts"],
)
def test_behind_a_batcher_and_under_bursts_time_has_a_scale(queue):
    one, two = curve(queue=queue, rounds=(0.9, 1.1)).capacities(200, 50.0).values()
    plain = curve(rounds=(1.0,)).capacities(200, 50.0)[1]
    assert one / two == pytest.approx(11 / 9)
    assert (one * two) ** 0.5 > 1.1 * plain if queue.batching else (one * two) ** 0.5 < 0.9 * plain


def test_a_limit_that_one_round_misses_alone_is_held_by_none():
    found = curve(rounds=(1.0, 2.0))
    assert found.capacities(100, 1.02 * found.shortest_ms(100)) is None
    assert curve().capacities(100, 1.02 * curve().shortest_ms(100))[1] > 0


@settings(max_examples=60, deadline=None)
@given(items=st.integers(1, 2000), limit_ms=st.floats(0.1, 1000.0), more=st.floats(1.0, 4.0))
def test_a_longer_limit_or_a_smaller_request_never_carries_less(items, limit_ms, more):
    found = curve()

    def carried(size, limit):
        return sum((found.capacities(size, limit) or {}).values())

    assert carried(items, limit_ms * more) >= carried(items, limit_ms)
    assert carried(items, limit_ms) >= carried(int(items * more) + 1, limit_ms)


def test_the_screen_has_a_line_that_counts_where_there_was_no_round(block):
    both, alone = (fit([evidence(block, rounds=rounds)], asked()) for rounds in ((0, 1, 2), (0,)))
    assert set(both.capacities(200, 20.0)) == {0, 1, 2}
    lines = [both.rounds[number] for number in (1, 2)]
    assert (both.middle.base_s, both.middle.per_item_s) == pytest.approx(tuple(np.mean(lines, axis=0)))
    assert set(alone.capacities(200, 20.0)) == {0}


def test_without_answers_there_is_no_line(block):
    assert fit([evidence(block, drop=1.0)], asked()) is None
