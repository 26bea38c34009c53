"""The nights as one series a benchmark: medians, pins chained, and what else changed."""

import math
from dataclasses import replace

import numpy as np
import pytest
from proofs.nights import past_night, simulated

from bakeoff.decide.drift import kept, past
from bakeoff.decide.drift.answers import CAPACITY, SERVICE_TIME, Answer, Figure, fraction
from bakeoff.errors import UserError

OF = ("ctr", "onnxruntime/fp32/1x1")


def series(nights, metric=SERVICE_TIME):
    (only,) = past.history(nights, metric).series
    return only


def answered(status="ok", metric=SERVICE_TIME, **more):
    figure = Figure(metric, status, 0.05, 0.02, 0.08)
    return {OF: kept.answer_record(Answer(*OF, status, (figure,), **more)).answer}


def test_a_nights_value_is_the_median_of_its_sessions():
    (point,) = series([past_night(0, [0.5, 0.01, 0.03])]).points
    assert (point.value, point.level, point.sessions) == (0.03, 0.03, 3)
    assert (point.low, point.high, point.status) == (None, None, "")


def test_the_interval_is_the_one_judged_as_log_ratios():
    (point,) = series([past_night(0, [0.05], answers=answered())]).points
    assert (point.low, point.high) == pytest.approx((math.log(1.02), math.log(1.08)))
    assert point.status == "ok"
    (point,) = series([past_night(0, [0.05], answers=answered(metric=CAPACITY))], CAPACITY).points
    assert point.high == pytest.approx(-math.log(0.92)), "8 % less capacity"
    assert fraction(CAPACITY, point.high) == pytest.approx(0.08)
    (point,) = series([past_night(0, [0.05], answers=answered(metric="p99"))]).points
    assert (point.low, point.status) == (None, "ok")


def test_a_new_pin_lies_where_the_last_nights_were():
    values = [0.0, 0.10, 0.10, 0.12, 0.0, 0.01]
    nights = [past_night(n, [value], {"ctr": "a" if n < 4 else "b"}) for n, value in enumerate(values)]
    found = series(nights)
    assert [point.repinned for point in found.points] == [False] * 4 + [True, False]
    assert [point.joined for point in found.points] == [0, 0, 0, 0, 4, 0]
    assert found.points[4].level == pytest.approx(0.10)
    assert found.points[5].level == pytest.approx(0.11)
    assert found.points[5].value == 0.01
    assert found.pins == 2


@pytest.mark.parametrize(
    "change",
    [
        {"packages": {"numpy": "2"}},
        {"answers": answered("regression")},
    ],
    ids=["versions", "answer"],
)
def test_nights_before_something_changed_do_not_say_where_the_next_pin_lies(change):
    """A regression of one night that is accepted by a new pin stays in the chain, whole."""
    plain = {"packages": {"numpy": "1"}, "answers": answered("ok")}
    nights = [past_night(n, [0.0], **plain) for n in range(8)]
    accepted = {**plain, **change}
    nights += [past_night(8, [0.08], **accepted), past_night(9, [0.0], {"ctr": "b"}, **accepted)]
    assert series(nights).points[9].level == pytest.approx(0.08)
    assert series(nights).points[9].joined == 1


def test_a_pin_that_comes_back_lies_where_it_lay():
    """Two branches checked in turn do not make a chain wander off."""
    nights = [past_night(n, [0.01 * n + (n % 2)], {"ctr": "ab"[n % 2]}) for n in range(6)]
    assert [point.joined for point in series(nights).points] == [0, 1, 0, 0, 0, 0]
    assert series(nights).points[4].level == pytest.approx(0.04)


def test_a_pin_moved_for_others_alone_is_none_for_this_benchmark():
    own = "ctr: onnxruntime/fp32/1x1"
    nights = [past_night(n, [0.02], {"ctr": str(n), own: "a"}) for n in range(3)]
    assert [point.level for point in series(nights).points] == [0.02] * 3
    assert series(nights).pins == 1


def test_versions_that_changed_are_told_the_engines_first():
    before, after = {"numpy": "2.4.5", "onnxruntime": "1.30", "gone": "1"}, {"numpy": "2.4.6", "onnxruntime": "1.31"}
    nights = [past_night(n, [0.0], packages=packages) for n, packages in enumerate((before, before, after))]
    assert [point.versions for point in series(nights).points] == [
        (),
        (),
        ("onnxruntime 1.30 → 1.31", "gone 1 → none", "numpy 2.4.5 → 2.4.6"),
    ]


def test_what_a_candidate_in_an_environment_of_its_own_runs_on_is_told_and_not_what_is_installed_beside_it():
    own = [{"onnxruntime": "1.31", "numpy": "2.4.6"}] * 2 + [{"onnxruntime": "1.20", "numpy": "2.4.6"}]
    beside = [{"onnxruntime": "1.31", "bakeoff": "0.1"}, {"onnxruntime": "9.9", "bakeoff": "0.2"}]
    nights = [
        past_night(n, [0.0], packages=beside[n > 0], answers=answered(versions=each)) for n, each in enumerate(own)
    ]
    assert [point.versions for point in series(nights).points] == [
        (),
        ("bakeoff 0.1 → 0.2",),
        ("onnxruntime 1.31 → 1.20",),
    ]
    killed = past_night(3, [0.0], packages={"onnxruntime": "9.8", "bakeoff": "0.2"})
    assert series([*nights, killed]).points[-1].versions == ("onnxruntime 9.9 → 9.8",), "it has no answer to tell"
    within = series([*nights[:2], killed, replace(nights[2], night="n4")])
    assert within.points[-1].versions == ("onnxruntime 1.31 → 1.20",), "since the last that tells"


def test_nights_against_stored_figures_are_left_out():
    nights = [past_night(0, [0.0]), past_night(1, {}, answers=answered(stored=True)), past_night(2, [0.01])]
    found = series(nights)
    assert [point.night for point in found.points] == ["n0", "n2"]
    assert found.left_out == 1
    fell_back = past_night(3, [0.4], answers=answered(stored=True))
    assert series([*nights, fell_back]).left_out == 2
    assert len(series([*nights, fell_back]).points) == 2, "and what was measured before it fell back"


def test_a_benchmark_of_stored_figures_alone_has_no_history():
    alone = [past_night(0, {}, answers=answered(stored=True))]
    with pytest.raises(UserError, match="no night whose pin could be run"):
        past.history(alone, SERVICE_TIME)
    nights = [*alone, past_night(1, {("feed", "torch"): [0.0]})]
    assert [each.benchmark for each in past.history(nights, SERVICE_TIME).series] == ["feed: torch"]


def test_benchmarks_are_named_by_parts():
    nights = [past_night(0, {("ctr", "torch"): [0.0], ("ctr", "tvm"): [0.0], ("feed", "torch"): [0.0]})]
    named = [each.benchmark for each in past.history(nights, SERVICE_TIME, ["feed", "tvm"]).series]
    assert named == ["ctr: tvm", "feed: torch"]
    with pytest.raises(UserError, match="nil: is in the name of no benchmark; there are ctr: torch, ctr: tvm, feed"):
        past.history(nights, SERVICE_TIME, ["nil"])


def test_nothing_to_tell_is_one_clear_line():
    with pytest.raises(UserError, match="holds no nights yet; `bakeoff check` makes some"):
        past.history([], SERVICE_TIME)
    with pytest.raises(UserError, match="no session that measured p99 yet"):
        past.history([past_night(0, {})], "p99")


def test_the_chain_follows_a_creep_that_new_pins_accept():
    """0.1 % a night over 120 nights, pinned anew each 30th: no night is ever far from its pin."""
    truth = 0.001 * np.arange(120)
    found = past.history(simulated(truth, 20, every=30), SERVICE_TIME).series
    standing = [past.standing(each.points) for each in found]
    assert np.mean(standing) == pytest.approx(0.115, abs=0.02), "each join lags by half its nights"
    assert np.std(standing) < 0.01
    assert max(abs(point.value) for point in found[0].points) < 0.06
