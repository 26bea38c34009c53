"""Intervals of cost ratios: what rounds, and what brackets of the capacity, let anyone claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.compare import FLOOR, Bounds, Field

NOISE = (0.01, -0.02, 0.015, 0.0, -0.01, 0.02, -0.015, 0.005)


def field(ratio=1.0, one=None, other=None, noise=NOISE):
    """Two candidates, the first `ratio` times as dear as the second, and what is known of their brackets."""
    costs = {
        "one": {number: ratio * math.exp(each) for number, each in enumerate(noise, 1)},
        "other": dict.fromkeys(range(1, len(noise) + 1), 1.0),
    }
    return Field(costs, bounds={name: each for name, each in {"one": one, "other": other}.items() if each})


def test_rounds_that_happen_to_agree_claim_no_more_than_fresh_processes_differ():
    found = field(1.03, noise=(0.0, 0.0, 0.0)).dearer("one", "other")
    assert found.value == pytest.approx(0.03)
    assert found.low < 0.0 < found.high
    assert math.log1p(found.high) - math.log1p(found.value) > FLOOR


def test_what_moved_one_and_not_the_other_may_be_all_that_they_differ_by():
    alike, moved = field(1.3), field(1.3, one=Bounds(moved=0.25))
    assert alike.dearer("one", "other").low > 0.2
    assert moved.dearer("one", "other").low < 0.05
    assert field(1.3, Bounds(moved=0.25), Bounds(moved=0.25)).dearer("one", "other") == alike.dearer("one", "other")


def test_brackets_that_lie_apart_tell_what_moved_estimates_cannot():
    """A batcher whose replay promised twice of what it can carry, beside an engine whose replay was right."""
    batcher, plain = Bounds(moved=0.7, low=1.7, high=2.1), Bounds(low=0.9, high=1.1)
    found = field(1.9, batcher, plain).dearer("one", "other")
    assert 1.4 < 1 + found.low < 1.7 / 1.1
    assert 2.1 / 0.9 < 1 + found.high < 2.6


def test_a_bracket_that_was_measured_once_claims_no_more_than_a_round():
    """One candidate failed in a bad minute at a rate that the other passed in a good one; rounds drift as much."""
    drift = (0.06, -0.05, 0.04, -0.06, 0.05, -0.04)
    costs = {name: {n: math.exp(each) for n, each in enumerate(drift)} for name in ("one", "other")}
    bounds = {"one": Bounds(moved=0.05, low=1.05, high=1.1), "other": Bounds(low=0.9, high=1.0)}
    moved = {"one": {n: 1.05 * cost for n, cost in costs["one"].items()}, "other": costs["other"]}
    found = Field(moved, bounds=bounds).dearer("one", "other")
    assert found.low < 0.0 < found.high


def test_brackets_never_cut_what_the_rounds_leave_open():
    alone = field().dearer("one", "other")
    found = field(1.0, Bounds(low=1.5, high=2.0), Bounds(low=0.9, high=1.0)).dearer("one", "other")
    assert found.low <= alone.low < alone.high <= found.high


def test_a_candidates_own_interval_keeps_near_its_bracket():
    low, high = field(1.0, Bounds(moved=0.5, low=0.95)).interval("one")
    assert 0.9 < low < 0.95
    assert high > 1.5


bounds = st.builds(
    Bounds, st.floats(-1.0, 1.0), st.sampled_from([0.0, 0.5, 0.9, 1.1]), st.sampled_from([1.1, 1.5, 3.0, math.inf])
)


@given(st.floats(0.5, 2.0), bounds, bounds)
def test_the_other_way_round_says_the_same(ratio, one, other):
    there, back = field(ratio, one, other).dearer("one", "other"), field(ratio, one, other).dearer("other", "one")
    ends = (there.value, there.low, there.high)
    mirrored = (back.value, back.high, back.low)
    for end, image in zip(ends, mirrored, strict=True):
        assert (1.0 + end) * (1.0 + image) == pytest.approx(1.0)
    assert there.low <= there.value <= there.high


@pytest.mark.engines
def test_the_regret_is_exceeded_as_seldom_as_is_claimed_and_sharper_than_intervals():
    """Eight candidates, three of them near each other: the cheapest by the rounds is chosen."""
    dice = np.random.default_rng(7)
    true = np.array([0.0, 0.005, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5])
    missed, sharper, excluded = 0, 0, 0
    for _ in range(600):
        noise = dice.normal(0.0, 0.02, (len(true), 5))
        costs = {
            str(i): {r: float(np.exp(true[i] + noise[i, r])) for r in range(noise.shape[1])} for i in range(len(true))
        }
        found = Field(costs)
        means = (true[:, None] + noise).mean(axis=1)
        choice = str(int(means.argmin()))
        regret = found.regret(choice, list(costs))
        highest = max(found.dearer(choice, other).high for other in costs if other != choice)
        sharper += regret < highest
        missed += np.expm1(true[int(choice)]) > regret
        excluded += "0" not in found.may_be_best(list(costs))
    assert missed / 600 <= 0.03
    assert excluded / 600 <= 0.03
    assert sharper / 600 > 0.95


def test_no_regret_is_known_beside_one_that_had_too_few_rounds():
    costs = {"one": dict.fromkeys(range(5), 1.0), "young": {0: 0.5}}
    assert Field(costs).regret("one", costs) is None
    assert Field(costs).regret("one", ["one"]) == 0.0
    assert Field(costs).may_be_best(list(costs)) == ("one", "young")


def test_what_brackets_moved_counts_in_the_regret_too():
    sure, moved = field(0.9), field(0.9, one=Bounds(moved=0.25))
    assert sure.regret("one", ["one", "other"]) < 0.02
    assert moved.regret("one", ["one", "other"]) > 0.1


def test_twins_are_told_apart_as_seldom_as_is_claimed():
    dice = np.random.default_rng(5)
    missed = 0
    for _ in range(2000):
        rounds = range(1, 6)
        costs = {name: {n: float(np.exp(dice.normal(0.0, 0.02))) for n in rounds} for name in ("one", "other")}
        found = Field(costs, error=0.05).dearer("one", "other")
        missed += not found.low <= 0.0 <= found.high
    assert 0.03 < missed / 2000 < 0.07


def test_two_rounds_that_differ_widely_allow_any_ratio_that_floats_hold():
    wild = Field({"one": {1: 1.0, 2: 4.0}, "other": {1: 4.0, 2: 1.0}}, 1e-9)
    loss = wild.dearer("one", "other")
    for each in (loss.low, loss.high, loss.saved.low, loss.saved.high, *wild.interval("one")):
        assert math.isfinite(each)
    assert loss.low < -0.99 < 99.0 < loss.high
