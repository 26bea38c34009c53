"""The night as a whole, over played sessions whose truth is known."""

import math
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import SERVICE_TIME, Session
from bakeoff.measure.engine_room import StageFailed
from bakeoff.nightly.night import Case, Night
from bakeoff.nightly.session import BASELINE, NOW, SideFailed, Sides


def sided(name):
    """As much of both sides as a night reads: who plays here starts no engine."""
    return Sides(name, NOW, BASELINE)


class Bench:
    """Plays sessions by the names of their cases: slower by what `slower` says, with normal noise of `spread`."""

    def __init__(self, slower, spread=0.01, seed=0):
        self.slower, self.spread, self.rng, self.played, self.kept = slower, spread, np.random.default_rng(seed), [], []

    def case(self, name, history=()):
        return Case(rule.Benchmark("shop", name, history=history), sided(name), {SERVICE_TIME: 1e-3})

    def play(self, sides, stage, number):
        self.played.append((sides.scenario, stage, number))
        change = self.slower.get(sides.scenario, 0.0)
        if isinstance(change, SideFailed):
            raise change
        change += self.rng.normal(0.0, self.spread)
        changes = {SERVICE_TIME: change} if sides.baseline else {}
        before = {SERVICE_TIME: 1e-3} if sides.baseline else {}
        return Session(stage, number, changes, before, {SERVICE_TIME: 1e-3 * math.exp(change)})

    def night(self, cases, seconds=None, clock=None):
        budget = Budget(seconds, clock) if clock else Budget(seconds)
        return Night(
            cases, budget, lambda known, session: self.kept.append((known.candidate, session)), Silent(), self.play
        )


def failed(side):
    return SideFailed(side, StageFailed("load", "crashed", "it crashed"))


def past(nights=10, spread=0.01, seed=9):
    rng = np.random.default_rng(seed)
    return [
        [Session("screen", number, {SERVICE_TIME: change}) for number, change in enumerate(rng.normal(0, spread, 3))]
        for _ in range(nights)
    ]


def test_only_the_suspicious_have_fresh_sessions():
    bench = Bench({"slow": 0.1})
    cases = [bench.case(name, past()) for name in ("slow", "one", "two")]
    night = bench.night(cases)
    slow, one, two = night.hold()
    assert (slow.status, one.status, two.status) == ("regression", "ok", "ok")
    fresh = [name for name, stage, _ in bench.played if stage == "confirm"]
    assert fresh == ["slow"] * rule.confirming(1)
    assert (
        sorted(name for name, stage, _ in bench.played if stage == "screen") == ["one"] * 3 + ["slow"] * 3 + ["two"] * 3
    )
    assert len(bench.kept) == len(bench.played), "each is kept as it ends"
    assert slow.figures[0].change == pytest.approx(math.expm1(0.1), abs=0.02)


def test_sessions_go_round_all_cases_before_anyone_has_a_second():
    bench = Bench({})
    bench.night([bench.case(name, past()) for name in "abcdefgh"]).hold()
    assert [number for _, stage, number in bench.played if stage == "screen"] == [1] * 8 + [2] * 8 + [3] * 8
    assert len({tuple(name for name, _, number in bench.played if number == turn) for turn in (1, 2, 3)}) > 1


def test_a_budget_ends_the_screen_and_keeps_time_to_confirm():
    bench = Bench({"slow": 0.2}, spread=0.001)
    cases = [bench.case(name, past()) for name in ("slow", *"abcdefghij")]
    night = bench.night(cases, 240.0, lambda: 6.0 * len(bench.played))
    plan = night.plan()
    answers = {answer.candidate: answer for answer in night.hold()}
    assert "within 4 minutes, of which the screen leaves 1.2" in plan[-1]
    assert 6.0 * len(bench.played) <= 240.0
    assert answers["slow"].status == "regression", "there was time for its fresh sessions"
    short = [answer for answer in answers.values() if answer.status == "inconclusive"]
    assert short
    assert all("of 3 sessions" in answer.reason for answer in short)


def test_what_cannot_run_any_more_has_vanished_after_a_second_try():
    bench = Bench({"gone": failed(NOW)})
    gone, well = bench.night([bench.case("gone"), bench.case("well", past())]).hold()
    assert [name for name, *_ in bench.played].count("gone") == 2
    assert gone.status == "missing"
    assert "cannot be run any more: now: load: crashed: it crashed" in gone.reason
    assert well.status == "ok"


def test_a_baseline_that_cannot_run_falls_back_on_its_stored_figures_with_wider_bounds():
    bench = Bench({})
    calls = count()

    def play(sides, stage, number):
        if sides.baseline:
            next(calls)
            raise failed(BASELINE)
        return Bench.play(bench, sides, stage, number)

    night = Night([bench.case("old", past())], Budget(None), lambda *_: None, Silent(), play)
    (answer,) = night.hold()
    assert next(calls) == 2
    assert answer.stored
    assert answer.status == "inconclusive", "nothing passes by stored figures alone"
    assert answer.figures[0].high - answer.figures[0].low > 0.5
    assert {session.baseline[SERVICE_TIME] for session in answer.sessions} == {1e-3}


def test_without_stored_figures_it_says_that_it_cannot_be_compared():
    bench = Bench({"old": failed(BASELINE)})
    case = bench.case("old")
    case.stored = {}
    (answer,) = bench.night([case]).hold()
    assert answer.status == "missing"
    assert "no stored figures" in answer.reason


def test_what_is_much_slower_than_the_stored_figures_is_found():
    bench = Bench({"old": 0.8})
    case = bench.case("old")
    case.known = replace(case.known, stored=True)
    case.sides = replace(sided("old"), baseline=None)
    (answer,) = bench.night([case]).hold()
    assert answer.status == "regression"


def test_what_cannot_run_is_never_played_and_keeps_its_reason():
    bench = Bench({})
    gone = Case(rule.Benchmark("shop", "gone", reason="its backend is not installed", vanished=True))
    night = bench.night([gone, bench.case("well", past())])
    assert "1 of 2 benchmarks" in night.plan()[0]
    answer, _ = night.hold()
    assert {name for name, *_ in bench.played} == {"well"}
    assert (answer.status, answer.reason) == ("missing", "its backend is not installed")


def test_the_budget_goes_by_what_each_ones_sessions_take():
    """A slow one that does not fit any more leaves its time to those that do."""
    bench, now = Bench({}), [0.0]

    def play(sides, stage, number):
        now[0] += 100.0 if sides.scenario == "slow" else 1.0
        return Bench.play(bench, sides, stage, number)

    cases = [bench.case(name, past()) for name in ("slow", "one", "two")]
    night = Night(cases, Budget(190.0, lambda: now[0]), lambda *_: None, Silent(), play)
    slow, one, two = night.hold()
    assert (one.status, two.status) == ("ok", "ok")
    assert len(slow.sessions) == 1
    assert now[0] <= 190.0


def test_what_no_session_fitted_for_says_so():
    bench = Bench({})
    (answer,) = bench.night([bench.case("one")], 8.0, lambda: 0.0).hold()
    assert (answer.status, answer.sessions, bench.played) == ("missing", (), [])
    assert answer.reason.startswith("nothing was measured: the budget ended before its first session")


def test_time_spent_on_getting_ready_is_told_and_not_shared_out_again():
    now = [0.0]
    night = Night([], Budget(600.0, lambda: now[0]), lambda *_: None, Silent())
    night._budget.start()
    now[0] = 120.0
    assert (
        night.plan()[-1] == "within 8 minutes, after 2 of getting ready, of which the screen leaves 2.4 to confirming"
    )


def test_a_baseline_that_fails_in_the_confirmation_keeps_what_confirmed():
    """Seven fresh sessions are enough for the test at one per cent, six are not."""
    for failing_from, status in ((3 + 7, "regression"), (3 + 6, "inconclusive")):
        bench, calls = Bench({"slow": 0.2}), count()

        def play(sides, stage, number, since=failing_from, calls=calls, bench=bench):
            if next(calls) >= since:
                raise failed(BASELINE)
            return Bench.play(bench, sides, stage, number)

        (answer,) = Night([bench.case("slow", past())], Budget(None), lambda *_: None, Silent(), play).hold()
        assert (answer.status, answer.stored) == (status, False)
        assert "its baseline cannot be run any more: it crashed" in answer.reason
