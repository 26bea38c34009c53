"""The spread of sessions, and the smallest change that they detect."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.drift.detect import POWER, detectable_by_t, nights
from bakeoff.decide.drift.flips import allowed, sign_flip
from bakeoff.decide.drift.spread import LAST, PRIOR, Spread, pooled, robust, tonights

NOISES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "t with 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "one in twenty out by five": lambda rng, shape: (
        rng.standard_normal(shape) * np.where(rng.random(shape) < 0.05, 5, 1)
    ),
}


def detectable(spread, sessions, level):
    """The log change that the sign-flip test alone finds, from the same drawn nights as the whole rule's."""
    steps = allowed(sessions, level)
    return spread * float(np.quantile(nights(1, sessions, steps).needed, POWER)) if steps >= 1 else None


def test_a_nights_own_change_is_no_spread():
    rng = np.random.default_rng(0)
    noise = 0.02 * rng.standard_normal((400, 3))
    quiet, moved = pooled(noise), pooled(noise + rng.uniform(-0.5, 0.5, (400, 1)))
    assert quiet.value == pytest.approx(0.02, rel=0.05)
    assert moved.value == pytest.approx(quiet.value)
    assert quiet.freedom == 800


def test_nights_of_one_session_and_none_tell_nothing():
    assert pooled([]).freedom == pooled([[0.1], []]).freedom == 0
    assert math.isnan(pooled([]).value)
    assert pooled([[0.1], [0.0, 0.02]]) == Spread(pytest.approx(math.sqrt(2) * 0.01), 1)


def test_one_night_gone_wrong_does_not_blind_the_screen():
    nights = 0.01 * np.random.default_rng(1).standard_normal((30, 3))
    before = pooled(nights).value
    nights[7, 1] = 3.0
    assert before <= pooled(nights).value < 1.4 * before


def test_the_spread_is_tonights_where_tonight_is_the_noisier():
    rng = np.random.default_rng(3)
    past = [tuple(each) for each in 0.01 * rng.standard_normal((30, 3))]
    usual = tonights(past, [(0.003, -0.006, 0.002)])
    assert usual == pooled([*past, (0.003, -0.006, 0.002)])
    restless = tonights(past, [(-0.15, 0.12, 0.02)])
    assert restless.freedom == PRIOR + 2
    assert 0.07 < restless.value < pooled([(-0.15, 0.12, 0.02)]).value
    assert tonights(past, [(0.2, 0.2, 0.21), (0.0, 0.01, 0.0)]).value < 1.1 * usual.value, "stage by stage"
    more = tonights(past, 0.06 * rng.standard_normal((1, 30)))
    assert more.value > 0.045, "the more sessions, the less do nights before weigh"
    assert tonights(past, [(0.0, 0.0, 0.0)]).value > 0.9 * usual.value, "and three that agree say nothing"


def test_nights_long_ago_do_not_count():
    past = [(-0.05, 0.05)] * 40 + [(-0.01, 0.01)] * LAST
    assert tonights(past, [(0.01, -0.01)]).value == pytest.approx(math.sqrt(2) * 0.01)
    assert tonights(past + [(0.3,), ()] * 20, [(0.01, -0.01)]).value == pytest.approx(math.sqrt(2) * 0.01)


def test_without_a_history_tonights_own_sessions_are_all_there_is():
    assert tonights([], [(0.1, 0.0)]) == tonights([(0.3,)], [(0.1, 0.0)]) == pooled([(0.1, 0.0)])
    assert tonights([(0.1, 0.0)], [(0.7,), ()]) == pooled([(0.1, 0.0)])
    assert tonights([], []).freedom == 0
    assert tonights([(0.0, 0.0)] * 9, [(0.1, 0.0)]).value > 0.02, "nights that were all alike"


def test_values_that_mostly_agree_still_differ():
    assert robust(np.array([0.0] * 9 + [1.0])) == pytest.approx(math.sqrt(0.1))
    assert robust(np.zeros(4)) == 0.0


@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=5), min_size=1, max_size=5), st.floats(0.01, 100))
def test_the_spread_has_the_values_unit(nights, scale):
    scaled = pooled([[scale * each for each in night] for night in nights])
    assert scaled.value == pytest.approx(scale * pooled(nights).value, abs=1e-9)


def test_quantiles_are_students_and_chi_squareds():
    assert Spread(0.03, 2).half(9, 0.05) == pytest.approx(2.920 * 0.01, rel=1e-3)
    assert Spread(0.02, 10).upper(0.2) == pytest.approx(0.02 * math.sqrt(10 / 6.179), rel=1e-3)


@pytest.mark.parametrize(("spread", "told"), [(0.005, 0.006), (0.02, 0.026), (0.047, 0.06)])
def test_ten_sessions_detect_what_was_measured_elsewhere(spread, told):
    assert math.expm1(detectable(spread, 10, 0.01)) == pytest.approx(told, rel=0.12)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("sessions", "level"), [(8, 0.01), (10, 0.01), (10, 0.0025)])
def test_four_in_five_find_it_whatever_the_noise(noise, sessions, level):
    rng = np.random.default_rng(2)
    spread = pooled(NOISES[noise](rng, (4000, 3))).value
    drawn = NOISES[noise](rng, (1000, sessions)) + detectable(spread, sessions, level)
    assert POWER - 0.04 <= np.mean([sign_flip(each) <= level for each in drawn]) <= POWER + 0.08


def test_too_few_sessions_detect_nothing():
    assert [detectable(0.02, sessions, 0.01) is None for sessions in (0, 3, 6, 7)] == [True, True, True, False]
    assert allowed(6, 0.01) == 0


def test_sessions_at_a_loose_level_are_drawn_within_memory():
    assert detectable(0.02, 15, 0.01) < detectable(0.02, 12, 0.01)


def test_what_is_only_reported_is_told_by_t():
    assert detectable_by_t(Spread(0.02, 1000), 3, 0.01) == pytest.approx(
        0.02 * (2.330 + 0.842) / math.sqrt(3), rel=1e-2
    )
    assert detectable_by_t(Spread(), 3, 0.01) is None
    assert detectable_by_t(Spread(0.02, 10), 0, 0.01) is None
