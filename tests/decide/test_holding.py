"""Which replayed capacities brackets move, and by how much."""

import math

import pytest

from bakeoff.backends import Batching, Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.compare import Field
from bakeoff.decide.holding import gather_all
from bakeoff.decide.verdict import judge_scenario
from bakeoff.scenario import from_dict
from bakeoff.store.record import CAPACITY_ROUND, BlockRecord, CandidateRecord, LedgerRow, ScenarioRecord

SCENARIO = from_dict({"workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": 100}, "sla": {"p99": "20ms"}})
PASSES, FAILS = 2.0, 12.0
"""Service times in ms with which an engine passes at 300 requests/s, and fails at 120."""


@pytest.fixture
def candidate(block):
    """A candidate of 4 ms a request at the rate asked for, and of other service times at others: (rate, ms)."""

    def make(name, *tried, setting=None, out=False):
        rounds = [(number, block(4.0, qps=100, seconds=8.0, seed=number)) for number in range(1, 4)]
        tried = [(CAPACITY_ROUND, block(ms, qps=rate, seconds=30.0)) for rate, ms in tried]
        kept = tuple(BlockRecord(n, p, lambda each=each: each) for p, (n, each) in enumerate([*rounds, *tried]))
        row = LedgerRow("race", "eliminated") if out else LedgerRow("serve", "ok")
        return CandidateRecord(Candidate(name, "fp32", setting or Setting("1x1")), {}, (row,), kept)

    return make


def held(*records):
    return gather_all(records, SCENARIO, 1)


def dearer(one, other):
    costs = {each.record.id: each.round_costs for each in (one, other)}
    return Field(costs, bounds={each.record.id: each.bounds for each in (one, other)}).dearer(*costs)


def test_what_one_bracket_shows_holds_for_all_of_its_queue(candidate):
    """An engine that is faster under load than its service times at a low rate say, and its twin that was not tried."""
    tried, twin = held(candidate("tried", (300, PASSES)), candidate("twin"))
    assert tried.bounds.moved == twin.bounds.moved == pytest.approx(math.log(300 / tried.replayed_qps), abs=0.01)
    assert min(tried.capacity_qps.values()) == pytest.approx(300, rel=0.1)
    assert dearer(tried, twin) == dearer(*held(candidate("tried"), candidate("twin")))


def test_a_capacity_moved_by_anothers_blocks_may_be_what_was_replayed(candidate):
    records = candidate("tried", (300, PASSES)), candidate("twin")
    found = judge_scenario(ScenarioRecord("asked", SCENARIO.definition(), {"name": "ctr-dlrm"}, records))
    tried, twin = found.candidates
    assert (tried.capacity_measured, twin.capacity_measured) == (True, False)
    assert twin.capacity_low_qps < held(*records)[1].replayed_qps < 300 < twin.capacity_high_qps


def test_another_queue_is_not_moved_and_may_be_off_by_as_much(candidate):
    tried, other = held(candidate("tried", (300, PASSES)), candidate("other", setting=Setting("2x1", instances=2)))
    assert (tried.bounds.moved > 0.1, other.bounds.moved) == (True, 0.0)
    batched = candidate("other", setting=Setting("1x1").batched(Batching(8, 1.0)))
    assert held(candidate("tried", (300, PASSES)), batched)[1].bounds.moved == 0.0


def test_brackets_that_agree_on_nothing_move_each_its_own_way(candidate):
    fast, slow, untried = held(candidate("fast", (300, PASSES)), candidate("slow", (120, FAILS)), candidate("untried"))
    assert fast.bounds.moved > 0.1
    assert slow.bounds.moved < -0.1
    assert untried.bounds.moved == 0.0
    assert slow.bracket.failed_qps == 120
    assert max(slow.capacity_qps.values()) < 120
    assert dearer(slow, fast).low > 0.9


def test_who_dropped_out_moves_nobody_and_is_moved_with_the_rest(candidate):
    fast, dropped = held(candidate("fast", (300, PASSES)), candidate("dropped", (120, FAILS), out=True))
    assert fast.bounds.moved > 0.1 > -0.1 > dropped.bounds.moved
    fast, dropped = held(candidate("fast", (300, PASSES)), candidate("dropped", out=True))
    assert fast.bounds.moved == dropped.bounds.moved
