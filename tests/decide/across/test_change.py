"""Two runs of one scenario: what changed, and what became of the old choice."""

from dataclasses import replace

import pytest

from bakeoff.decide.across import change
from bakeoff.errors import UserError
from bakeoff.store.record import LedgerRow, Quality

CRASH = LedgerRow("serve", "crashed", "the worker died with signal 11")
HOST = {"host": "aa", "cpu": "EPYC", "kernel": "6.8"}


@pytest.fixture
def runs(run, scenario, engine):
    """An older run and a newer, of candidates by their service time in ms or as engines; and what the newer changes."""

    def make(older, newer, asked=None, host=None, packages=None):
        def of(engines, seed, changed):
            made = {name: one if isinstance(one, engine) else engine(one) for name, one in engines.items()}
            return scenario(made, seed=seed, incumbent=None, **changed)

        before = replace(run(of(older, 1, {})), run="older", host=HOST, environment={"packages": {"torch": "2.8"}})
        after = replace(run(of(newer, 2, asked or {})), run="newer", host={**HOST, **(host or {})})
        return before, replace(after, environment={"packages": packages or {"torch": "2.8"}})

    return make


def compared(pair):
    (one,) = change.compare(*pair).scenarios
    return one


def judged(one):
    return {(figure.candidate.partition("/")[0], figure.name): figure.judged for figure in one.figures}


def test_the_same_again_is_within_noise(runs):
    pair = runs({"a": 2.0, "b": 3.0}, {"a": 2.0, "b": 3.0})
    one = compared(pair)
    assert set(judged(one).values()) == {"within noise"}
    assert {name for _, name in judged(one)} == {"cost", "p99", "capacity", "memory", "auc"}
    assert one.headline == "The same choice, a/fp32/1x1."
    assert (one.question, one.engines, one.fates, one.because) == ((), (), (), ())
    assert change.compare(*pair).environment == ()


def test_another_choice_comes_with_the_fate_of_the_old_one(runs):
    one = compared(runs({"a": 2.0, "b": 3.0}, {"a": 4.0, "b": 3.0}, packages={"torch": "2.9"}))
    assert one.headline.startswith("b/fp32/1x1 is the choice now: a/fp32/1x1, the choice before, would do, but is ")
    assert " dearer (" in one.headline
    found = judged(one)
    assert found["a", "cost"] == found["a", "capacity"] == "changed"
    assert found["b", "cost"] == "within noise"
    assert one.because == ("packages: torch",)


def test_what_changed_without_a_cause_says_so(runs):
    (cause,) = compared(runs({"a": 2.0}, {"a": 4.0})).because
    assert cause.startswith("nothing else that was recorded changed")


def test_candidates_come_go_fail_and_recover_with_the_ledgers_reason(runs, engine):
    failing = engine(2.0, ledger=(CRASH,))
    one = compared(runs({"a": 2.0, "b": failing, "old": 3.0}, {"a": failing, "b": 2.0, "new": 3.0}))
    fates = {fate.candidate.partition("/")[0]: (fate.turn, fate.outcome, fate.reason) for fate in one.fates}
    assert fates == {
        "a": ("newly failing", "crashed", CRASH.reason),
        "b": ("recovered", "ok", CRASH.reason),
        "new": ("new", "ok", ""),
        "old": ("gone", "ok", ""),
    }
    assert "a/fp32/1x1, the choice before, failed at the stage serve (crashed): the worker died" in one.headline


def test_what_there_was_no_time_for_does_not_fail(runs, engine):
    late = engine(2.0, ledger=(LedgerRow("build", "over-budget", "no time was left to build it"),))
    assert compared(runs({"a": 2.0, "b": 3.0}, {"a": 2.0, "b": late})).fates == ()


def test_a_choice_that_is_not_there_any_more(runs):
    one = compared(runs({"a": 2.0, "b": 3.0}, {"b": 3.0}))
    assert one.headline.endswith("a/fp32/1x1, the choice before, is not among the candidates any more.")


def test_a_choice_where_there_was_none(runs):
    one = compared(runs({"a": 30.0}, {"a": 2.0}))
    assert one.headline == "There was no choice before, and now a/fp32/1x1 is the choice (INFEASIBLE before, WIN now)."


def test_another_price_is_told_from_another_engine(runs):
    """Twice the price for the same work: the money changed, the core-hours did not."""
    one = compared(runs({"a": 2.0}, {"a": 2.0}, {"price": "0.0832 USD/core-hour"}))
    found = judged(one)
    assert (found["a", "cost"], found["a", "held"]) == ("changed", "within noise")
    (difference,) = one.question
    assert (difference.name, difference.older, difference.newer) == ("price.amount", 0.0416, 0.0832)
    assert one.because == ("the question: price.amount",)


@pytest.mark.parametrize("price", ["0.05 EUR/core-hour", None])
def test_costs_in_other_units_are_compared_by_the_hours_alone(runs, price):
    found = judged(compared(runs({"a": 2.0}, {"a": 2.0}, {"price": price})))
    assert found["a", "held"] == "within noise"
    assert ("a", "cost") not in found


def test_from_another_host_costs_and_quality_alone(runs):
    pair = runs({"a": 2.0}, {"a": 4.0}, host={"host": "bb", "kernel": "6.9"})
    found = change.compare(*pair)
    assert not found.same_host
    assert {name for _, name in judged(found.scenarios[0])} == {"cost", "auc"}
    assert [(one.name, one.older, one.newer) for one in found.environment] == [("host.kernel", "6.8", "6.9")]
    assert "another host" in found.scenarios[0].because


def test_a_quality_changed_where_the_intervals_are_apart(runs, engine):
    def judged_at(delta):
        return engine(2.0, quality=(Quality("auc", 0.7 + delta, 0.7, delta, delta - 1e-4, delta + 1e-4, 1000),))

    one = compared(runs({"a": judged_at(0.0)}, {"a": judged_at(-0.001)}))
    (figure,) = [figure for figure in one.figures if figure.name == "auc"]
    assert (figure.judged, figure.relative) == ("changed", False)
    assert figure.change == pytest.approx(-0.001)


def test_one_run_is_not_two_and_two_must_share_a_scenario(runs):
    older, newer = runs({"a": 2.0}, {"a": 2.0})
    with pytest.raises(UserError, match="run older: is one run"):
        change.compare(older, older)
    (scenario,) = newer.scenarios
    with pytest.raises(UserError, match="ctr-ranking in older, other in newer"):
        change.compare(older, replace(newer, scenarios=(replace(scenario, name="other"),)))
