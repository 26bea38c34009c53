"""The choice beside what serves today: money, milliseconds, and whether production sees what was measured."""

import pytest

from bakeoff.decide.today import FAR_APART
from bakeoff.decide.verdict import judge_scenario

TODAY = "today/fp32/1x1"


@pytest.fixture
def judged(scenario, engine):
    """The verdict where `today` serves at `today_ms` a request, beside one at 2 ms."""

    def make(today_ms=2.6, incumbent=TODAY, noise=0.002, **changed):
        field = {"today": engine(today_ms, noise=noise, rounds=8), "other": engine(2.0, noise=noise, rounds=8)}
        return judge_scenario(scenario(field, incumbent=incumbent, **changed))

    return make


def test_a_switch_saves_money_and_milliseconds(judged):
    shop = {"kind": "server", "qps": 100, "fleet_qps": 600_000, "batch_size": 100}
    found = judged(noise=0.02, traffic=shop)
    today = found.today
    assert (found.answer, today.name) == ("SWITCH", TODAY)
    assert today.saved_low < today.saved < today.saved_high
    assert today.yearly_saved == pytest.approx(found.incumbent.yearly_cost - found.choice.yearly_cost)
    assert today.yearly_saved_low < today.yearly_saved < today.yearly_saved_high
    for end in ("low", "high"):
        saved = getattr(today, f"saved_{end}") * found.incumbent.yearly_cost
        assert getattr(today, f"yearly_saved_{end}") == pytest.approx(saved, rel=0.01)
    assert f", {today.yearly_saved:,.0f} USD a year less," in found.headline
    assert today.sooner_ms == pytest.approx(found.incumbent.p99_ms - found.choice.p99_ms)
    assert 0.0 < today.sooner_low_ms < today.sooner_ms < today.sooner_high_ms
    alone = found.incumbent.p99_high_ms - found.incumbent.p99_ms, found.choice.p99_ms - found.choice.p99_low_ms
    assert max(alone) < today.sooner_high_ms - today.sooner_ms < sum(alone)


def test_whole_replicas_may_cost_the_same_at_both_ends(judged):
    today = judged(noise=0.005).today
    assert today.saved_low < today.saved < today.saved_high
    assert today.yearly_saved_low <= today.yearly_saved <= today.yearly_saved_high
    steps = today.yearly_saved / (0.0416 * 8760)
    assert steps == pytest.approx(round(steps))


def test_without_a_price_or_the_shops_load_no_money_is_told(judged):
    traffic = {"kind": "server", "qps": 100, "batch_size": 100}
    for found in (judged(price=None), judged(traffic=traffic)):
        assert found.answer == "SWITCH"
        assert found.today.yearly_saved is None
        assert found.today.saved > 0.0
        assert "a year" not in found.headline


def test_another_objectives_gain_is_no_interval_of_money(judged):
    found = judged(objective="p99")
    assert found.answer == "SWITCH"
    assert found.today.yearly_saved > 0.0
    assert found.today.yearly_saved_low is None


def test_what_stays_saves_nothing(judged):
    found = judged(2.0)
    assert (found.answer, found.today.name) == ("STAY", TODAY)
    assert (found.today.yearly_saved, found.today.sooner_ms) == (None, None)


def test_nothing_is_gained_over_what_was_not_settled(scenario, engine):
    field = {"today": engine(2.6, rounds=1), "other": engine(2.0)}
    found = judge_scenario(scenario(field, incumbent=TODAY))
    assert (found.incumbent.outcome, found.answer) == ("undecided", None)
    assert (found.today.yearly_saved, found.today.sooner_ms) == (None, None)


def test_what_is_no_candidate_of_the_run_is_not_told(scenario, engine):
    assert judge_scenario(scenario({"one": engine(2.0)}, incumbent=TODAY)).today is None
    assert judge_scenario(scenario({"one": engine(2.0)})).today is None


@pytest.mark.parametrize("times", [0.9 / FAR_APART, 1.1 / FAR_APART, 1.0, 0.9 * FAR_APART, 1.1 * FAR_APART])
def test_a_p99_that_is_far_from_productions_is_warned_of(judged, times):
    measured_ms = judged().incumbent.p99_ms
    found = judged(incumbent={"candidate": TODAY, "p99": f"{measured_ms * times:.3f}ms"})
    assert found.today.p99_ms == measured_ms
    (said,) = [reason for reason in found.reasons if reason.startswith(f"What serves today, {TODAY}, has a p99 of ")]
    assert ("may not be what production sees" in said) == (not 1 / FAR_APART < times < FAR_APART)
    assert (found.answer, found.choice.backend) == ("SWITCH", "other")


def test_the_99th_percentile_is_held_beside_productions_whatever_the_sla_limits(judged):
    today = {"candidate": TODAY, "p99": "9ms"}
    by_p90 = judged(incumbent=today, sla={"p90": "20ms"})
    assert by_p90.incumbent.percentile == 90.0
    assert by_p90.today.p99_ms == judged(incumbent=today).today.p99_ms > by_p90.incumbent.p99_ms


@pytest.mark.parametrize(("qps", "less"), [(50, True), (5000, False)])
def test_productions_figures_beside_the_choice(scenario, engine, qps, less):
    today = {"name": "the old one", "qps": qps, "cpus": 1, "p99": "35ms"}
    found = judge_scenario(scenario({"one": engine(2.0)}, incumbent=today))
    assert (found.today.name, found.today.p99_ms) == ("the old one", found.choice.p99_ms)
    assert found.today.sooner_ms is None
    assert (found.today.yearly_saved > 0.0) == less
    assert found.today.yearly_saved_low <= found.today.yearly_saved <= found.today.yearly_saved_high
    assert f"USD a year {'less' if less else 'more'}" in found.headline
    (said,) = [reason for reason in found.reasons if "in production" in reason]
    assert said.startswith("The p99 of the old one is 35 ms in production, that of the choice ")
