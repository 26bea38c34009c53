"""The sign-flip test against all flips one by one, its inversion, and Holm against figures worked by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bakeoff.decide.drift.flips import MOST, allowed, holm, interval, lower_bound, sign_flip, typical

CHANGES = st.lists(st.floats(-0.5, 0.5).map(lambda x: round(x, 6)), min_size=1, max_size=9)
P = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8)


def one_by_one(changes):
    """In exact arithmetic: whole numbers of millionths."""
    whole = [round(1e6 * each) for each in changes]
    signs = itertools.product((1, -1), repeat=len(whole))
    return sum(sum(s * x for s, x in zip(each, whole, strict=True)) >= sum(whole) for each in signs) / 2 ** len(whole)


@given(CHANGES)
def test_p_is_the_share_of_flips_that_reach_what_was_seen(changes):
    assert sign_flip(changes) == one_by_one(changes)


def test_p_in_cases_known_by_heart():
    assert sign_flip([0.03] * 7) == 1 / 128
    assert sign_flip([0.1, 0.2, 0.3]) == 1 / 8
    assert sign_flip([-0.1, 0.2, 0.3]) == 2 / 8
    assert sign_flip([-0.1, -0.1]) == 1.0
    assert sign_flip([0.0] * 5) == 1.0, "no change is no slowdown"
    assert sign_flip([0.1, -0.1]) == 3 / 4, "ties count against it"
    assert sign_flip([]) == 1.0


def test_rounding_never_makes_p_smaller():
    """0.1 + 0.2 - 0.3 is not 0 in floating point, and is in truth."""
    assert sign_flip([0.1, 0.2, -0.3]) == one_by_one([0.1, 0.2, -0.3]) == 5 / 8


@given(CHANGES, st.floats(0.0, 0.5))
def test_more_of_a_slowdown_never_makes_p_larger(changes, more):
    assert sign_flip([each + more for each in changes]) <= sign_flip(changes)


@given(CHANGES, st.sampled_from([1e-6, 0.25, 8.0, 1e6]), st.randoms())
def test_neither_the_unit_nor_the_order_matters(changes, scale, lots):
    shuffled = lots.sample(changes, len(changes))
    assert sign_flip([scale * each for each in shuffled]) == sign_flip(changes)


@given(CHANGES)
def test_both_sides_share_all_flips_and_those_that_tie(changes):
    assert sign_flip(changes) + sign_flip([-each for each in changes]) >= 1.0


def test_under_the_null_p_is_no_more_often_below_a_level_than_the_level_says():
    """Exactly, over all flips of one sample, whatever it is: the promise that all else rests on."""
    seen = np.array([0.001, 0.004, 0.005, 0.011, 0.03, 0.2, 1.7, 5.0])
    found = np.array([sign_flip(seen * np.array(each)) for each in itertools.product((1, -1), repeat=len(seen))])
    for level in (1 / 256, 0.01, 0.05, 0.3):
        assert np.mean(found <= level) <= level
    assert np.mean(found <= 0.01) == 2 / 256


@pytest.mark.parametrize("changes", [[0.01] * (MOST + 1), [0.01, math.nan], [math.inf]])
def test_what_cannot_be_flipped_is_refused(changes):
    with pytest.raises(ValueError, match="flipped"):
        sign_flip(changes)


@given(CHANGES, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_bound_is_where_the_test_stops_refusing(changes, level):
    low = lower_bound(changes, level)
    if low is None:
        assert 0.5 ** len(changes) > level
        return
    assert sign_flip([each - low + 1e-7 for each in changes]) <= level
    assert sign_flip([each - low - 1e-7 for each in changes]) > level


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8), st.integers(1, 255))
def test_few_of_the_smallest_hold_the_smallest_means(values, steps):
    assume(steps < 2 ** len(values))
    subsets = (each for n in range(1, len(values) + 1) for each in itertools.combinations(values, n))
    means = sorted(sum(each) / len(each) for each in subsets)
    assert typical(np.array(values, float), steps) == pytest.approx(means[steps - 1])


def test_an_interval_needs_eight_changes_and_covers_as_it_says():
    assert interval([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07], 0.99) is None
    rng = np.random.default_rng(3)
    found = [interval(each, 0.99) for each in 0.05 + rng.standard_t(2, (1500, 9))]
    assert 0.98 < np.mean([low <= 0.05 <= high for low, high in found]) < 0.998
    mirrored = interval([-0.01, -0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.2], 0.99)
    again = interval([0.01, 0.02, -0.03, -0.04, -0.05, -0.06, -0.07, -0.2], 0.99)
    assert mirrored == (-again[1], -again[0])


def test_how_many_flips_a_level_allows():
    assert [allowed(k, 0.01) for k in (3, 6, 7, 8, 10)] == [0, 0, 1, 2, 10]
    assert allowed(3, 1 / 8) == 1


def test_holm_by_hand():
    """Holm's own example has p .01, .04, .03, .005: the first two hold at 5 %, the others do not."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.4]) == pytest.approx([0.9, 0.8])
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([]) == ()


@given(P)
def test_holm_lies_between_no_correction_and_bonferroni(chances):
    for found, p in zip(holm(chances), chances, strict=True):
        assert p <= found <= min(1.0, len(chances) * p)


@given(P, st.sampled_from([0.01, 0.05, 0.3]))
def test_holm_refuses_step_by_step(chances, level):
    """As the method is told in words: the smallest at level / n, the next at level / (n - 1), until one does not."""
    refused, left = set(), len(chances)
    for number in sorted(range(len(chances)), key=lambda each: chances[each]):
        if chances[number] * left > level:
            break
        refused.add(number)
        left -= 1
    assert {number for number, each in enumerate(holm(chances)) if each <= level} == refused
