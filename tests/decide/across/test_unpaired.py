"""Costs of different hosts: compared as two samples, never by round."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.across.unpaired import dearer
from bakeoff.decide.compare import Bounds
from bakeoff.decide.evidence import Evidence
from bakeoff.store.record import CandidateRecord

ANYONE = CandidateRecord(Candidate("torch", "fp32", Setting("1x1")))
COSTS = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=6)


def measured(costs, **more):
    return Evidence(ANYONE, cost=dict(enumerate(costs, start=1)), **more)


def ends(found):
    return found.value, found.low, found.high


@given(COSTS, COSTS, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_numbers_of_the_rounds_mean_nothing(mine, theirs, random):
    shuffled = random.sample(mine, len(mine))
    assert ends(dearer(measured(mine), measured(theirs))) == pytest.approx(
        ends(dearer(measured(shuffled), measured(theirs)))
    )


@given(COSTS, COSTS)
@settings(max_examples=50, deadline=None)
def test_the_other_way_round_is_the_other_way_round(mine, theirs):
    there, back = dearer(measured(mine), measured(theirs)), dearer(measured(theirs), measured(mine))
    assert [1.0 + end for end in ends(there)] == pytest.approx(
        [1.0 / (1.0 + end) for end in (back.value, back.high, back.low)]
    )


@given(COSTS, COSTS)
@settings(max_examples=50, deadline=None)
def test_it_is_welchs_interval_where_rounds_differ_enough(mine, theirs):
    logs = np.log(mine), np.log(theirs)
    assume(all(each.std(ddof=1) > 0.01 for each in logs))
    expected = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.97)
    found = dearer(measured(mine), measured(theirs), 0.03)
    assert (math.log1p(found.low), math.log1p(found.high)) == pytest.approx((expected.low, expected.high))


def test_equal_hosts_are_told_apart_as_seldom_as_promised():
    rng, trials = np.random.default_rng(3), 600
    apart = 0
    for _ in range(trials):
        found = dearer(*(measured(np.exp(rng.normal(0.0, 0.05, count))) for count in (4, 6)), 0.05)
        apart += found.low > 0.0 or found.high < 0.0
    assert stats.binomtest(apart, trials, 0.05, alternative="greater").pvalue > 0.001


def test_rounds_that_agree_by_chance_claim_no_small_difference():
    found = dearer(measured([1.0, 1.0]), measured([1.005, 1.005]))
    assert found.low < 0.0 < found.high


def test_one_round_tells_nothing():
    assert dearer(measured([1.0]), measured([2.0, 2.0])) is None


def test_what_moved_either_host_counts_in_full():
    still, moved = measured([1.0, 1.01, 0.99]), measured([1.0, 1.01, 0.99], bounds=Bounds(0.2))
    low = math.log1p(dearer(still, still).low)
    assert math.log1p(dearer(moved, still).low) == pytest.approx(low - 0.2)
    assert math.log1p(dearer(moved, moved).low) == pytest.approx(low - 0.4)
