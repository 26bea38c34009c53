"""What a night says of its benchmarks: each status, and what never passes as ok."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.drift.answers import CAPACITY, MEMORY, P99, SERVICE_TIME, Figure, Session, fraction, log_change
from bakeoff.decide.drift.detect import detected
from bakeoff.decide.drift.rule import (
    FAMILY,
    MOST_MDE,
    SCREEN_SESSIONS,
    TESTED,
    Benchmark,
    confirming,
    judge,
    suspects,
)
from bakeoff.decide.drift.screen import STORED_SPREAD, SUSPICIOUS, Series, stored_allowance
from bakeoff.decide.drift.spread import Spread

QUIET = (0.004, -0.006, 0.001)
NOISE = (0.004, -0.006, 0.001, 0.009, -0.003, 0.005, -0.008, 0.002, -0.001, 0.006, -0.004, 0.003)
SIZE = Figure("artifact_size", "ok", change=0.0, gate=0.01, baseline=1e6, now=1e6, unit="bytes")
AUC = Figure("quality:auc", "ok", change=0.0, gate=0.002, baseline=0.7, now=0.7)


def sessions(stage, changes, metric=SERVICE_TIME, **sides):
    return tuple(Session(stage, number, {metric: each}, **sides) for number, each in enumerate(changes, 1))


def history(scale=1.0, metric=SERVICE_TIME):
    return [sessions("screen", [scale * x for x in NOISE[i : i + 3]], metric) for i in range(0, 12, 3)] * 3


def benchmark(slower=0.0, fresh=None, noise=QUIET, **changed):
    """One whose screen is `slower` by a log ratio, and whose fresh sessions, if any, by another."""
    found = sessions("screen", [slower + each for each in noise])
    if fresh is not None:
        found += sessions("confirm", [fresh + each for each in NOISE[: confirming(1)]])
    return Benchmark("ctr", "onnxruntime/fp32/1x1", **{"sessions": found, "history": history()} | changed)


def one(benchmark):
    (answer,) = judge([benchmark])
    return answer


@pytest.mark.parametrize(
    ("suspects", "sessions"), [(0, 0), (1, 8), (2, 9), (3, 10), (4, 10), (5, 11), (6, 11), (50, 14), (100, 15)]
)
def test_how_many_fresh_sessions_confirm(suspects, sessions):
    assert confirming(suspects) == sessions
    if suspects:
        assert 2 * 0.5**sessions <= TESTED / suspects, "one session may be on the other side"


def test_a_slowdown_is_told_by_its_fresh_sessions():
    answer = one(benchmark(0.05, 0.05))
    (figure,) = answer.figures
    assert (answer.status, figure.status, figure.gate) == ("regression", "regression", 0.02)
    assert figure.change == pytest.approx(0.0513, abs=1e-3)
    assert 0.03 < figure.low < figure.change < figure.high < 0.07
    assert figure.sessions == SCREEN_SESSIONS + 8
    assert 0.02 < figure.mde < 0.05
    assert "8 fresh sessions, p 0.0039" in answer.reason


def test_what_the_screen_saw_counts_for_nothing():
    """The very sessions that made it suspicious are never among those that confirm it."""
    found = benchmark(0.5, 0.0)
    assert suspects([found]) == ((0, SERVICE_TIME),)
    assert one(found).status == "ok"
    assert one(found).figures[0].change == pytest.approx(0.0, abs=0.005)
    assert "not confirmed by 8" in one(found).figures[0].reason


def test_nothing_is_told_before_it_is_confirmed():
    found = one(benchmark(0.5))
    assert found.status == "inconclusive"
    assert "only 0 of 8 fresh sessions" in found.reason
    cut = benchmark(0.5, 0.5)
    assert one(replace(cut, sessions=cut.sessions[:-2])).status == "inconclusive", "six sessions reach no p of 1 %"


def test_a_sure_slowdown_that_matters_to_nobody_is_ok():
    found = benchmark(0.019, 0.012)
    assert one(found).status == "ok"
    assert "no more than the 2.0 % that matter" in one(found).figures[0].reason.replace("2.0%", "2.0 %")
    assert one(replace(found, gates={SERVICE_TIME: 0.005})).status == "regression"


def test_a_slowdown_among_many_needs_more():
    """Holm: what confirms one suspect does not confirm the same one among eight."""
    quiet = [benchmark(0.05, 0.0) for _ in range(7)]
    night = judge([benchmark(0.05, 0.05), *quiet])
    assert night[0].status == "inconclusive"
    assert "only 8 of 11" in night[0].reason
    more = sessions("confirm", [0.05 + each for each in NOISE[:11]])
    enough = [replace(each, sessions=each.sessions[:3] + more) for each in (benchmark(0.05), *quiet)]
    assert {each.status for each in judge(enough)} == {"regression"}


def test_ok_says_what_would_have_been_found():
    quiet, noisy = one(benchmark()), one(benchmark(noise=[12 * x for x in QUIET], history=history(12.0)))
    assert (quiet.status, quiet.reason) == ("ok", "")
    assert 0.02 < quiet.figures[0].mde < 0.03
    assert noisy.status == "inconclusive"
    assert noisy.figures[0].mde > MOST_MDE
    assert "may go unseen" in noisy.reason


def test_without_history_three_slow_sessions_are_suspicious_and_a_lucky_spread_passes_nothing():
    slow = benchmark(history=(), noise=(0.001, 0.002, 0.06))
    assert suspects([slow])
    assert not suspects([benchmark(history=(), noise=(-0.001, 0.002, 0.06))])
    assert not suspects([benchmark(history=(), noise=(0.001, 0.002, 0.019))])
    with_history = one(benchmark())
    without = one(benchmark(history=()))
    assert without.figures[0].mde > with_history.figures[0].mde


def test_history_tells_a_restless_benchmark_from_a_still_one():
    seen = (0.02, 0.03, 0.04)
    assert suspects([benchmark(noise=seen)])
    assert not suspects([benchmark(noise=seen, history=history(10.0))])


def test_fresh_sessions_never_change_who_was_flagged():
    before = [benchmark(0.016, history=history()[:4]), benchmark(0.002, history=history()[:4])]
    wild = sessions("confirm", [0.9, -0.7] * 4)
    after = [replace(each, sessions=each.sessions + wild) for each in before]
    assert suspects(before) == suspects(after) == ((0, SERVICE_TIME),)


def test_among_more_suspects_less_is_found():
    restless = benchmark(noise=[4 * x for x in QUIET], history=history(4.0))
    alone, among = one(restless), judge([restless, *[benchmark(0.05) for _ in range(9)]])[0]
    assert alone.figures[0].mde < 0.95 * among.figures[0].mde


def test_what_the_screen_would_pass_by_is_not_found():
    """Nights so restless that the screen sees little, whatever the fresh sessions would have shown."""
    blind = Series(SERVICE_TIME, 0.02, QUIET, (), before=Spread(0.2, 20), spread=Spread(0.01, 20))
    seeing = replace(blind, before=Spread(0.01, 20))
    assert detected(seeing, 3, 8, FAMILY) < 0.03
    assert detected(blind, 3, 8, FAMILY) > blind.before.half(3, SUSPICIOUS) > 0.16


def test_faster_is_reported_and_fails_nothing():
    answer = one(benchmark(-0.1))
    assert (answer.status, answer.figures[0].status) == ("improved", "improved")
    assert answer.figures[0].change == pytest.approx(-0.095, abs=0.002)
    assert "new pin" in answer.reason
    assert one(benchmark(-0.01)).status == "ok"
    assert one(benchmark(noise=(-0.9, 0.002, 0.003))).status != "improved", "one session is no improvement"
    assert one(benchmark(0.05, -0.05)).status == "improved", "by its fresh sessions"
    assert one(benchmark(-0.1, history=())).status != "improved", "three sessions may agree by chance"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_session_without_a_figure_never_passes(wrong):
    found = one(benchmark(noise=(0.001, wrong, -0.002)))
    assert found.status == "inconclusive"
    assert "screen session 2 gave" in found.reason
    nothing = one(benchmark(noise=(wrong, wrong, wrong)))
    assert nothing.status == "missing"
    assert nothing.figures[0].change is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("side", ["baseline", "now"])
def test_a_side_that_took_no_time_never_passes(side, wrong):
    found = benchmark(sessions=sessions("screen", QUIET, **{side: {SERVICE_TIME: wrong}}))
    assert one(found).status == "missing"
    assert f"{side} {wrong}" in one(found).reason


def test_a_metric_that_sessions_lack_and_a_session_too_few():
    found = one(benchmark(gates={SERVICE_TIME: 0.02, MEMORY: 0.05}))
    assert found.status == "missing"
    assert [each.status for each in found.figures] == ["ok", "missing"]
    assert "screen session 1 gave none" in found.reason


@pytest.mark.parametrize("metric", [P99, CAPACITY])
@pytest.mark.parametrize("now", [{}, {P99: math.nan, CAPACITY: math.nan}])
def test_what_the_baseline_has_and_now_lacks_is_a_fault(metric, now):
    """A p99 of which over 1 % were dropped, a capacity where no rate holds."""
    both = [replace(each, baseline={metric: 0.02}, now=now) for each in sessions("screen", QUIET)]
    reported = one(benchmark(sessions=tuple(both)))
    figure = next(each for each in reported.figures if each.metric == metric)
    assert (reported.status, figure.status, figure.gate) == ("ok", "inconclusive", None)
    assert (figure.baseline, figure.now, figure.change) == (0.02, None, None)
    assert "screen session 3 gave now: none" in figure.reason
    gates = {SERVICE_TIME: 0.02, metric: 0.05}
    assert one(benchmark(sessions=tuple(both), gates=gates)).status == "inconclusive"
    once = both[0], *(replace(each, changes={SERVICE_TIME: 0.0, metric: 0.0}, now={metric: 0.02}) for each in both[1:])
    assert one(benchmark(sessions=once, gates=gates)).status == "inconclusive", "not by those that have it"
    turned = [replace(each, baseline=now, now={metric: 0.02}) for each in both]
    assert one(benchmark(sessions=tuple(turned), gates=gates)).status == "inconclusive"
    assert len(one(benchmark(sessions=tuple(turned))).figures) == 1, "nothing is lost"


def test_a_service_time_that_now_lacks_is_no_benchmark_gone():
    failing = [Session("screen", number, {}, {SERVICE_TIME: 0.02}, {SERVICE_TIME: math.nan}) for number in (1, 2, 3)]
    found = one(benchmark(sessions=tuple(failing)))
    assert (found.status, found.figures[0].status) == ("inconclusive", "inconclusive")
    assert "gave now: none" in found.reason


def test_what_vanished_is_missing_and_says_why():
    gone = benchmark(sessions=(), reason="onnxruntime is not installed", vanished=True, exact=(SIZE,))
    assert (one(gone).status, one(gone).reason) == ("missing", "onnxruntime is not installed")
    assert one(gone).figures == (SIZE,)
    assert judge([]) == ()


def test_what_had_no_time_has_not_vanished():
    late = one(benchmark(sessions=(), exact=(SIZE,)))
    assert (late.status, late.reason) == ("inconclusive", "no time was left for it")
    fallen = one(benchmark(sessions=(), reason="its baseline cannot be run", stored=True))
    assert (fallen.status, fallen.reason) == ("inconclusive", "its baseline cannot be run; no time was left for it")
    short = one(benchmark(noise=QUIET[:2]))
    assert (short.status, short.reason) == (
        "inconclusive", "no time was left for it; service_time: measured in 2 of 3 sessions"
    )  # fmt: skip
    cut = one(benchmark(noise=QUIET[:2], reason="its baseline cannot be run any more"))
    assert (cut.status, cut.reason) == (
        "inconclusive", "its baseline cannot be run any more; service_time: measured in 2 of 3 sessions"
    )  # fmt: skip
    assert one(benchmark(sessions=(), exact=(replace(SIZE, status="regression"),))).status == "regression"


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SIZE, change=None),
        replace(SIZE, change=math.nan),
        replace(SIZE, now=0.0),
        replace(SIZE, baseline=-1.0),
        replace(SIZE, now=math.nan),
        replace(AUC, now=math.nan),
        replace(AUC, change=math.inf, status="improved"),
    ],
)
def test_an_exact_figure_that_is_none_never_passes(wrong):
    found = one(benchmark(exact=(wrong,)))
    assert found.status == "inconclusive"
    assert "no figure to go by" in found.reason


def test_exact_figures_decide_as_they_were_given():
    assert one(benchmark(exact=(SIZE, AUC))).status == "ok"
    assert one(benchmark(exact=(replace(SIZE, status="regression", reason="2 % larger"),))).reason == (
        "artifact_size: 2 % larger"
    )
    assert one(benchmark(exact=(replace(SIZE, gate=None, status="regression"),))).status == "ok", "only reported"
    served = replace(AUC, metric="quality:score_error", baseline=0.0, now=0.0)
    assert one(benchmark(exact=(served,))).status == "ok", "an error may be 0"


def test_a_gate_that_nothing_speaks_of_is_missing():
    gates = {SERVICE_TIME: 0.02, "quality": 0.002, "artifact_size": 0.01}
    assert one(benchmark(gates=gates, exact=(SIZE, AUC))).status == "ok"
    found = one(benchmark(gates=gates, exact=(AUC,)))
    assert (found.status, found.reason) == ("missing", "artifact_size: not measured")
    assert one(benchmark(gates={})).status == "missing", "nothing decides it"


def test_what_is_only_reported_never_decides():
    both = tuple(
        Session("screen", number, {SERVICE_TIME: each, P99: 0.5 + each}, {P99: 0.02}, {P99: 0.04})
        for number, each in enumerate(QUIET, 1)
    )
    answer = one(benchmark(sessions=both))
    assert answer.status == "ok"
    figure = answer.figures[1]
    assert (figure.metric, figure.status, figure.gate, figure.unit) == (P99, "ok", None, "s")
    assert (figure.baseline, figure.now) == (0.02, 0.04)
    assert figure.low < figure.change < figure.high
    assert figure.mde > 0.0
    spoilt = replace(both[1], changes={SERVICE_TIME: 0.0, P99: math.nan})
    answer = one(benchmark(sessions=(both[0], spoilt, both[2])))
    assert (answer.status, answer.figures[1].status) == ("ok", "inconclusive")


def test_capacity_is_lost_as_a_share_of_the_baselines():
    assert fraction(CAPACITY, math.log(100 / 95)) == pytest.approx(0.05)
    assert fraction(SERVICE_TIME, math.log(1.05)) == pytest.approx(0.05)
    assert fraction(CAPACITY, log_change(CAPACITY, 0.07)) == pytest.approx(0.07)


def test_stored_figures_pass_nothing_and_find_only_what_is_far_beyond_them():
    quiet, slow = one(benchmark(stored=True, reason="no baseline")), one(benchmark(0.2, 0.2, stored=True))
    assert (quiet.status, slow.status) == ("inconclusive", "inconclusive")
    assert quiet.stored
    assert quiet.reason.startswith("no baseline; service_time: the sessions differ too much")
    far = one(benchmark(0.6, 0.6, stored=True))
    assert far.status == "regression"
    assert far.figures[0].low < math.expm1(0.6 - stored_allowance(FAMILY)) < far.figures[0].change


def test_among_more_stored_figures_each_may_be_further_off():
    """One in a hundred nights has any of them beyond its allowance, and not each of them one in a hundred."""
    far = benchmark(0.45, 0.45, stored=True)
    night = judge([far, *[benchmark(0.2, stored=True) for _ in range(49)]])
    assert (one(far).status, night[0].status) == ("regression", "inconclusive")
    mixed = judge([far, *[benchmark() for _ in range(49)]])
    assert [each.status for each in mixed] == ["regression", *49 * ["ok"]], "of those that are stored, to those alone"
    offset = STORED_SPREAD * np.random.default_rng(0).standard_normal((4000, 50)).max(axis=1)
    assert np.mean(offset > stored_allowance(FAMILY / 50)) < 2 * FAMILY < np.mean(offset > stored_allowance(FAMILY))


@pytest.mark.parametrize("gate", [0.05, None])
def test_beside_stored_figures_nothing_but_service_time_decides(gate):
    def grown(stage, changes):
        return tuple(
            Session(stage, number, {SERVICE_TIME: each, MEMORY: 2.0}, {MEMORY: 1e6}, {MEMORY: 7e6})
            for number, each in enumerate(changes, 1)
        )

    gates = {SERVICE_TIME: 0.02} | ({MEMORY: gate} if gate else {})
    found = benchmark(sessions=grown("screen", QUIET), gates=gates, stored=True)
    assert suspects([found]) == ()
    answer = one(replace(found, sessions=found.sessions + grown("confirm", NOISE[:9])))
    assert answer.status == "inconclusive"
    memory = answer.figures[1]
    assert (memory.status, memory.gate, memory.low, memory.mde) == ("inconclusive", gate, None, None)
    assert memory.change == pytest.approx(math.expm1(2.0))
    assert "decide nothing" in memory.reason
    alone = one(replace(found, gates={MEMORY: 0.05}))
    assert alone.status == "inconclusive"


@pytest.mark.parametrize("gate", [0.02, 0.10, 0.20])
@pytest.mark.parametrize(("scale", "passes"), [(0.15, True), (1.0, True), (4.0, True), (9.0, False)])
def test_a_wide_gate_passes_on_the_nights_on_which_a_narrow_one_does(gate, scale, passes):
    """Spreads of 0.1, 0.5, 2 and 5 %: what the noise hides decides, and not what the gate lets by."""
    found = benchmark(noise=[scale * x for x in QUIET], history=history(scale), gates={SERVICE_TIME: gate})
    answer = one(found)
    assert answer.status == ("ok" if passes else "inconclusive")
    assert answer.figures[0].mde > gate, "what is printed is what would have been found"


def test_a_night_noisier_than_its_history_goes_by_its_own_sessions():
    quiet, restless = one(benchmark()), one(benchmark(noise=(-0.15, 0.12, 0.02)))
    assert (quiet.status, restless.status) == ("ok", "inconclusive")
    assert restless.figures[0].mde > MOST_MDE > 2 * quiet.figures[0].mde
    assert restless.figures[0].high - restless.figures[0].low > 5 * (quiet.figures[0].high - quiet.figures[0].low)
    seen = (-0.03, 0.02, 0.065)
    assert suspects([benchmark(noise=3 * [sum(seen) / 3])])
    assert not suspects([benchmark(noise=seen)]), "the screen too"


CHANGES = st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8)


@given(CHANGES, st.floats(0.0, 0.3))
def test_what_is_a_regression_stays_one_where_it_is_worse(changes, more):
    def status(added):
        fresh = sessions("confirm", [each + added for each in changes])
        found = benchmark(0.05)
        return one(replace(found, sessions=found.sessions + fresh)).status

    assert status(0.0) != "regression" or status(more) == "regression"


@given(CHANGES, st.permutations(range(3)))
def test_neither_the_order_nor_the_neighbours_of_a_night_matter(changes, order):
    found = benchmark(0.05)
    night = [replace(found, sessions=found.sessions + sessions("confirm", changes)), benchmark(), benchmark(-0.1)]
    answers = judge(night)
    assert judge([night[each] for each in order]) == tuple(answers[each] for each in order)
