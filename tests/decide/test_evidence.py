"""What blocks at several rates say of a candidate's capacity, and what they must not say."""

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.compare import Field
from bakeoff.decide.evidence import gather, likely_capacity
from bakeoff.decide.gates import gate
from bakeoff.decide.holding import gather_all
from bakeoff.scenario import from_dict
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND, BlockRecord, CandidateRecord, LedgerRow


def asked(qps, **traffic):
    return from_dict(
        {"workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": qps, **traffic}, "sla": {"p99": "20ms"}}
    )


def record(*blocks, complete=None):
    kept = tuple(
        BlockRecord(number, position, lambda block=block: block) for position, (number, block) in enumerate(blocks)
    )
    row = () if complete is None else (LedgerRow("capacity", "ok", facts={"complete": complete}),)
    return CandidateRecord(Candidate("engine", "fp32", Setting("1x1")), {}, (LedgerRow("screen", "ok"), *row), kept)


def judged(found, scenario):
    return gate(found, scenario, provisional=False)


def test_a_noisy_closed_screen_rejects_nobody(block):
    """Three hiccups in 200 calls: replayed for ever they break any rate, and yet are no proof."""
    screen = block(5.0, qps=200, seconds=1.0, kind="closed")
    screen.done_ns[[20, 90, 150]] += 30_000_000
    found = gather(record((SCREEN_ROUND, screen)), asked("max"), 1)
    assert found.capacity_qps == {}
    assert judged(found, asked("max")).status == "open"
    likely = likely_capacity(found.record, asked("max"))
    assert likely == pytest.approx(0.3 / 0.00545, rel=0.1), "it is tried at a low rate"


def test_an_engine_that_misses_the_limit_with_none_waiting_is_rejected_by_the_test(block):
    found = gather(record((SCREEN_ROUND, block(30.0, qps=30, seconds=10.0, kind="closed"))), asked("max"), 1)
    gate_ = judged(found, asked("max"))
    assert (gate_.status, gate_.outcome) == ("failed", "sla-missed")
    assert "even with none waiting" in gate_.reason


def test_full_batches_that_are_too_slow_reject_no_batcher(block):
    """At a low rate its batches are small."""
    alone = block(5.0, qps=200, seconds=1.0, kind="closed", items=4)
    joined = block(30.0, qps=30, seconds=100.0, kind="closed", items=64)
    found = gather(record((SCREEN_ROUND, alone), (SCREEN_ROUND, joined)), asked("max"), 1)
    assert judged(found, asked("max")).status == "open"


@pytest.mark.parametrize(("complete", "status"), [(True, "failed"), (False, "open"), (None, "open")])
def test_failing_at_every_rate_is_a_verdict_once_the_search_is_through(block, complete, status):
    screen = block(5.0, qps=200, seconds=4.0, kind="closed")
    failing = [(CAPACITY_ROUND, block(25.0, qps=rate, seconds=60.0)) for rate in (100.0, 20.0)]
    found = gather(record((SCREEN_ROUND, screen), *failing, complete=complete), asked("max"), 1)
    assert found.bracket.failed_qps == 20.0
    assert judged(found, asked("max")).status == status


def test_what_lower_rates_left_undecided_is_no_failure(block):
    screen = block(5.0, qps=200, seconds=4.0, kind="closed")
    tried = [(CAPACITY_ROUND, block(25.0, qps=100, seconds=60.0)), (CAPACITY_ROUND, block(5.0, qps=20, seconds=1.0))]
    found = gather(record((SCREEN_ROUND, screen), *tried, complete=True), asked("max"), 1)
    assert (found.bracket.failed_qps, found.bracket.undecided_qps) == (100.0, (20.0,))
    assert judged(found, asked("max")).status == "open"


def test_a_latency_under_load_is_absent_until_there_was_load(block):
    found = gather(record((SCREEN_ROUND, block(5.0, qps=200, seconds=4.0, kind="closed"))), asked("max"), 1)
    assert (found.p50_ms, found.tail.value, found.offered_qps) == (None, None, None)
    assert found.mean_ms == pytest.approx(5.0, rel=0.05)


def test_what_blocks_showed_moves_the_replayed_capacity_and_widens_what_is_claimed(block):
    """The engine slows down near its capacity, which service times at a low rate do not tell."""
    rounds = [(number, block(2.0, qps=100, seconds=8.0, seed=number)) for number in range(4)]
    scenario = asked(100)
    free = gather(record(*rounds), scenario, 1)
    slow = [
        (CAPACITY_ROUND, block(6.0, qps=300.0, seconds=10.0)),
        (CAPACITY_ROUND, block(2.0, qps=250.0, seconds=20.0)),
    ]
    (found,) = gather_all([record(*rounds, *slow)], scenario, 1)
    assert (found.bracket.passed_qps, found.bracket.failed_qps) == (250.0, 300.0)
    assert free.replayed_qps == found.replayed_qps > 300.0
    assert max(found.capacity_qps.values()) == pytest.approx((300 * 250) ** 0.5, rel=0.05)
    moved = -np.log(free.replayed_qps / (300 * 250) ** 0.5)
    assert (free.bounds.moved, found.bounds.moved) == (0.0, pytest.approx(moved))
    assert found.bounds.high / found.bounds.low == pytest.approx(300 / 250)
    assert found.bounds.low < found.mean_cost < found.bounds.high
    costs, bounds = {"found": found.round_costs, "free": free.round_costs}, {"found": found.bounds}
    surely, perhaps = (Field(costs, bounds=each).dearer("found", "free") for each in ({}, bounds))
    assert surely.low > 0.0 >= perhaps.low


def test_a_traces_capacity_counts_as_its_rate_does(block, tmp_path):
    """A window with twice the trace's rate: what it can carry of the window is half of that of the trace."""
    file = tmp_path / "t.csv"
    file.write_text("arrival\n" + "".join(f"{i / 100}\n" for i in range(400)))
    scenario = asked(100, kind="trace", trace=str(file))
    as_asked = block(2.0, qps=100, seconds=20.0)
    busy = block(2.0, qps=200, seconds=20.0)
    object.__setattr__(busy, "offered_qps", 100.0)
    alike, twice = (gather(record((1, each)), scenario, 1).replayed_qps for each in (as_asked, busy))
    assert twice == pytest.approx(alike / 2, rel=0.25)


def test_what_a_busy_replica_takes_is_read_off_closed_loops(block):
    """Between live requests the machine idles and its caches cool: a full replica does not know that."""
    live, sprint = block(2.5, qps=100, seconds=4.0), block(2.0, qps=100, seconds=1.0, kind="closed", seed=3)
    both = gather(record((SCREEN_ROUND, live), (1, live), (1, sprint)), asked(100), 1)
    busy = gather(record((1, block(2.0, qps=100, seconds=4.0))), asked(100), 1)
    assert both.capacity_qps[1] == pytest.approx(busy.capacity_qps[1], rel=0.03)
    assert both.capacity_qps[SCREEN_ROUND] < 0.9 * both.capacity_qps[1]
    alone = gather(record((SCREEN_ROUND, live), (1, live)), asked(100), 1)
    assert (both.p50_ms, both.tail, both.requests) == (alone.p50_ms, alone.tail, alone.requests), (
        "of live traffic alone"
    )
    assert both.sla == alone.sla
    assert both.mean_ms == alone.mean_ms


def test_a_hiccup_in_a_sprint_is_one_of_all_calls(block):
    sprint = block(2.0, qps=100, seconds=0.4, kind="closed")
    sprint.done_ns[20] += 100_000_000
    sprint.started_ns[21:] += 100_000_000
    sprint.done_ns[21:] += 100_000_000
    assert gather(record((1, sprint)), asked(100), 1).capacity_qps == {}
    lives = [(1, block(2.0, qps=100, seconds=8.0, seed=seed)) for seed in range(2)]
    assert gather(record((1, sprint), *lives), asked(100), 1).capacity_qps[1] > 50
