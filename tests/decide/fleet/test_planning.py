"""A plan's figures against the verdict that it rests on, and what cannot be planned."""

import json
from dataclasses import replace

import pytest

from bakeoff.backends import Batching, Setting
from bakeoff.decide.cost import replicas
from bakeoff.decide.fleet import planning, wish
from bakeoff.decide.fleet.wish import Wish
from bakeoff.decide.verdict import judge_scenario
from bakeoff.errors import UserError
from bakeoff.scenario import day
from bakeoff.store.record import CAPACITY_ROUND, BlockRecord

EFFORT = 0.2


@pytest.fixture
def planned(scenario, engine):
    """The plan of a scenario of two engines, `quick` being the choice, with a fifth of the usual requests."""

    def make(asked=None, **changed):
        record = scenario({"quick": engine(2.0, startup_s=3.0), "slow": engine(4.0)}, **changed)
        return planning.plan(record, judge_scenario(record), asked or Wish(), EFFORT)

    return make


@pytest.fixture
def usual(planned):
    return planned()


def test_the_plan_is_the_verdicts_choice_by_its_formula(usual, scenario, engine):
    choice = judge_scenario(scenario({"quick": engine(2.0, startup_s=3.0), "slow": engine(4.0)})).choice
    assert usual.candidate == choice.candidate == "quick/fp32/1x1"
    assert usual.formula == usual.peak.replicas == choice.replicas
    assert (usual.fleet_qps, usual.capacity_qps, usual.limit_ms) == (6000.0, choice.capacity_qps, 20.0)
    assert usual.hour_cost == pytest.approx(choice.hourly_cost)
    assert usual.year_cost == pytest.approx(choice.yearly_cost)


def test_by_random_balancing_the_simulation_and_the_capacity_agree(usual):
    """Both replay the same service times; what is planned has room and so a shorter wait."""
    assert usual.fewest.replicas == pytest.approx(usual.fleet_qps / usual.capacity_qps, rel=0.05)
    assert usual.fewest.p99_ms <= 20.0
    assert usual.peak.p99_ms < usual.without.p99_ms + usual.without.p99_error_ms
    assert usual.peak.p99_ms < usual.fewest.p99_ms
    assert usual.peak.utilisation == pytest.approx(6000 * 0.002 / usual.formula, rel=0.03)


def test_a_fleet_carries_no_more_than_blocks_at_nearby_rates_bore_out(usual, scenario, engine, block):
    """A replica that fails at a third of what its replay carries is simulated as one that carries that much less."""
    record = scenario({"quick": engine(2.0, startup_s=3.0)})
    (one,) = record.candidates
    failing = block(12.0, qps=120.0, seconds=30.0)
    tried = replace(one, blocks=(*one.blocks, BlockRecord(CAPACITY_ROUND, 0, lambda: failing)))
    moved = replace(record, candidates=(tried,))
    found = planning.plan(moved, judge_scenario(moved), Wish(), EFFORT)
    assert found.capacity_qps < 0.5 * usual.capacity_qps
    assert found.fewest.replicas == pytest.approx(found.fleet_qps / found.capacity_qps, rel=0.05)
    assert found.fewest.p99_ms <= 20.0 < found.tried[0].p99_ms
    assert found.peak.p99_ms == pytest.approx(usual.peak.p99_ms, rel=0.2)
    assert all(hour.p99_ms <= 20.0 for hour in found.hours)
    assert found.outage.p99_ms == pytest.approx(usual.outage.p99_ms, rel=0.2)


def test_a_lost_replica_is_missed_for_as_long_as_another_takes_to_start(usual, planned):
    assert (usual.outage.seconds, usual.outage.replicas, usual.without.replicas) == (
        3.0,
        usual.formula - 1,
        usual.formula - 1,
    )
    assert planned(Wish(lost=0)).outage is planned(Wish(lost=0)).without is None
    half = planned(Wish(lost=usual.formula // 2))
    assert half.without.p99_ms is None
    assert half.outage.over > 0.3
    all_of_them = planned(Wish(lost=usual.formula))
    assert (all_of_them.without, all_of_them.outage.p99_ms) == (None, None)


def test_a_day_scaled_by_the_hour_costs_what_its_hours_take(usual):
    counts = [replicas(6000 * factor, usual.capacity_qps, 0.2, 1) for factor in day.USUAL]
    assert [hour.replicas for hour in usual.hours] == counts
    assert usual.scaled_day_cost == pytest.approx(0.0416 * sum(counts))
    assert usual.day_cost == pytest.approx(0.0416 * 24 * usual.formula)
    assert all(hour.p99_ms <= usual.hours[usual.worst_hour].p99_ms < 20.0 for hour in usual.hours)
    assert usual.assumed_day


def test_another_day_another_rate_and_other_replicas_are_planned_for(planned):
    flat = planned(Wish("slow/fp32/1x1", 600.0, 7, "round-robin", factors=(1.0,) * 24), price=None)
    assert (flat.candidate, flat.fleet_qps, flat.peak.replicas) == ("slow/fp32/1x1", 600.0, 7)
    assert {hour.replicas for hour in flat.hours} == {flat.formula}
    assert (flat.unit, flat.replica_hour, flat.hour_cost) == ("core-hours", 1.0, 7.0)
    assert not flat.assumed_day


@pytest.mark.parametrize("balancing", ["round-robin", "least-loaded"])
def test_better_balancing_takes_fewer_and_waits_less(usual, planned, balancing):
    better = planned(Wish(balancing=balancing))
    assert better.fewest.replicas < usual.fewest.replicas
    assert better.peak.p99_ms < usual.peak.p99_ms
    assert better.formula == usual.formula


def test_json_is_strict_and_whole(usual, planned):
    told = json.loads(json.dumps(usual.to_json(), allow_nan=False))
    assert told["cost"]["unit"] == "USD"
    assert told["peak"]["p99_ms"] == usual.peak.p99_ms
    assert len(told["hours"]) == 24
    none_left = planned(Wish(lost=planned(Wish()).formula))
    assert json.loads(json.dumps(none_left.to_json(), allow_nan=False))["outage"]["p99_ms"] is None


def test_what_cannot_be_planned_is_one_line(planned, scenario, engine, run):
    with pytest.raises(UserError, match="--candidate no/fp32/1x1: not in ctr-ranking"):
        planned(Wish("no/fp32/1x1"))
    with pytest.raises(UserError, match="--fleet-qps: missing, and ctr-ranking says no"):
        planned(traffic={"kind": "server", "qps": 100})
    with pytest.raises(UserError, match="nothing was chosen"):
        planned(sla={"p99": "1ms"})
    with pytest.raises(UserError, match="no rate at which it holds an SLA is known"):
        planned(Wish("quick/fp32/1x1"), sla={"p99": "1ms"})
    offline = {"kind": "offline", "qps": None, "batch_size": 100}
    with pytest.raises(UserError, match="no rate at which it holds an SLA is known"):
        planned(Wish(fleet_qps=10.0), traffic=offline, sla=None)


def test_behind_a_batcher_the_least_loaded_is_not_simulated(scenario, engine):
    record = scenario({"quick": engine(2.0)})
    batched = Setting("1x1+b200-1ms", batching=Batching(200, 1.0))
    (one,) = record.candidates
    joined = replace(record, candidates=(replace(one, candidate=replace(one.candidate, setting=batched)),))
    found = planning.plan(joined, judge_scenario(joined), Wish(), EFFORT)
    assert found.fewest.replicas == pytest.approx(found.fleet_qps / found.capacity_qps, rel=0.1)
    with pytest.raises(UserError, match="--balancing least-loaded: not simulated behind a batcher"):
        planning.plan(joined, judge_scenario(joined), Wish(balancing="least-loaded"))


def test_options_are_read_or_refused():
    assert wish.read(None, "1M", 3, "least-loaded", "daily", 2) == Wish(None, 1e6, 3, "least-loaded", 2)
    assert wish.read(None, 12.5, None, "random", "daily", 0).fleet_qps == 12.5
    for words, said in (
        ((None, "many", None, "random", "daily", 1), "--fleet-qps many: must be requests per second"),
        ((None, None, 0, "random", "daily", 1), "--replicas 0: must be 1 or more"),
        ((None, None, None, "random", "daily", -1), "--lost -1: must be 0 or more"),
        ((None, None, None, "by-hand", "daily", 1), "--balancing by-hand: unknown; it takes random, round-robin"),
        ((None, None, None, "random", "none.csv", 1), "none.csv: cannot be read"),
    ):
        with pytest.raises(UserError, match=said):
            wish.read(*words)


def test_a_run_of_several_scenarios_takes_a_name(scenario, engine, run):
    one, other = (replace(scenario({"quick": engine(2.0)}), name=name) for name in ("a", "b"))
    assert wish.one_scenario(run(one), None) is one
    assert wish.one_scenario(run(one, other), "b") is other
    with pytest.raises(UserError, match="--scenario: missing; run 20260101-0000-abcd has a, b"):
        wish.one_scenario(run(one, other), None)
    with pytest.raises(UserError, match="--scenario c: not in run"):
        wish.one_scenario(run(one, other), "c")


def test_a_candidate_that_did_not_pass_is_planned_with_a_warning(planned, usual):
    assert usual.doubts == ()
    (doubt,) = planned(Wish("slow/fp32/1x1"), quality={"auc": 0.00001}).doubts
    assert doubt.startswith("slow/fp32/1x1 is undecided by the verdict: the loss of auc may be as large as")
    assert planned(data="generated").doubts == ("the inputs were generated: they decide speed, never quality",)


def test_no_more_can_be_lost_than_are_planned(planned, usual):
    with pytest.raises(UserError, match=rf"--lost {usual.formula + 1}: must be at most the {usual.formula} replicas"):
        planned(Wish(lost=usual.formula + 1))
