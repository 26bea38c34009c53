"""The map's winners, ties and gaps, on engines with known lines."""

from dataclasses import replace

import numpy as np
import pytest

from bakeoff.decide.court import convene
from bakeoff.decide.maps.decision_map import SLA_TIMES, decision_map
from bakeoff.decide.maps.frames import MAP_COLUMNS, map_frame
from bakeoff.decide.maps.outlook import outlook, outlooks
from bakeoff.decide.verdict import judge_scenario
from bakeoff.errors import UserError
from bakeoff.store.record import LedgerRow

SIZES = np.random.default_rng(0).choice([100, 200, 400, 800], 800)
FLEET_QPS = 8192.0


def line(engine, base_ms, per_item_ms, items=SIZES, **more):
    return engine(base_ms + per_item_ms * items, blocks={"items": items}, noise=0.004, **more)


@pytest.fixture(scope="module")
def crossing(scenario, engine):
    """Small requests go to one engine, large ones to another; the lines cross at 280 items."""
    field = {
        "small": line(engine, 0.2, 0.012),
        "large": line(engine, 1.6, 0.007),
        "slow": line(engine, 3.0, 0.04, rounds=1),
    }
    traffic = {"kind": "server", "qps": 100, "fleet_qps": FLEET_QPS, "batch_size": 300}
    return scenario(field, traffic=traffic, sla={"p99": "40ms"})


@pytest.fixture(scope="module")
def found(crossing):
    return decision_map([convene(crossing)])


def at(found, qps, size, limit_ms=40.0):
    return next(each for each in found.points if (each.qps, each.batch_size, each.sla_ms) == (qps, size, limit_ms))


def test_who_wins_turns_where_the_lines_cross(found):
    assert at(found, FLEET_QPS, 100).winner == "small/fp32/1x1"
    assert at(found, FLEET_QPS, 800).winner == "large/fp32/1x1"
    small = at(found, FLEET_QPS, 100)
    assert small.runner_up == "large/fp32/1x1"
    assert small.margin == pytest.approx(1 - 1.4 / 2.3, abs=0.05)
    assert "dearer" in small.reason


def test_little_traffic_is_a_tie_by_replicas(found):
    point = at(found, FLEET_QPS / 256, 100)
    assert (point.winner, point.replicas, point.margin) == ("tie", 2, 0.0)
    assert set(point.tied) >= {"small/fp32/1x1", "large/fp32/1x1"}
    assert "the same number of replicas (2)" in point.reason


def test_what_was_not_measured_is_marked(found):
    assert not at(found, FLEET_QPS / 256, 400).extrapolated
    assert at(found, FLEET_QPS / 256, 1600).extrapolated
    assert "calls of 100 to 800 items were measured" in at(found, FLEET_QPS / 256, 1600).reason
    busy = at(found, FLEET_QPS, 100)
    assert busy.extrapolated, "no block was played near what a replica would have to carry"
    assert "was never played more than" in busy.reason


def test_blocks_at_nearby_rates_are_no_extrapolation(crossing, block):
    played = replace(crossing, candidates=tuple(with_block(each, block) for each in crossing.candidates))
    assert not at(decision_map([convene(played)]), FLEET_QPS, 100).extrapolated


def with_block(record, block):
    """One more block at a rate that takes nearly all of its time."""
    items = np.resize(SIZES, 1600)
    full = record.blocks[0]
    return replace(
        record, blocks=(*record.blocks, replace(full, round=-1, fetch=lambda: block(4.9, qps=200, items=items)))
    )


def test_where_none_holds_the_limit_it_says_so(found):
    assert SLA_TIMES[0] == 0.5
    point = at(found, FLEET_QPS, 3200, 20.0)
    assert (point.winner, point.cost, point.runner_up, point.replicas, point.tied) == ("none", None, None, None, ())
    assert point.reason.startswith("none holds 20 ms: the quickest, large/fp32/1x1, takes ")


def test_a_longer_limit_never_costs_more(found):
    for point in found.points:
        if point.cost is not None and point.sla_ms < 160.0:
            assert at(found, point.qps, point.batch_size, point.sla_ms * 2).cost <= point.cost * 1.0001


def test_at_the_scenarios_own_place_it_agrees_with_the_verdict(scenario, engine):
    """Where all requests have one size, the map's point is the verdict's question."""
    field = {"one": engine(2.0, noise=0.004), "two": engine(2.6, noise=0.004)}
    asked = {"kind": "server", "qps": 100, "fleet_qps": 1e6, "batch_size": 100}
    record = scenario(field, traffic=asked)
    verdict, mapped = judge_scenario(record), decision_map([convene(record)])
    point = at(mapped, 1e6, 100, 20.0)
    assert point.winner == verdict.choice.candidate
    assert point.margin == pytest.approx(verdict.margin, abs=0.01)
    bare = point.cost / (1.0 + record.definition["fleet"]["headroom"])
    assert bare == pytest.approx(verdict.choice.cost, rel=0.02)
    assert {each.extrapolated for each in mapped.points if each.batch_size != 100} == {True}


def test_a_candidate_that_misses_the_sla_may_win_with_a_longer_one_and_a_lossy_one_never(scenario, engine, quality):
    field = {
        "late": engine(15.0, noise=0.004, blocks={"spread": 0.02}),
        "lossy": engine(1.0, precision="int8", quality=(quality(-0.01),)),
    }
    found = decision_map([convene(scenario(field))])
    assert found.left_out == {"lossy/int8/1x1": "quality-missed"}
    assert found.winners == ("late/fp32/1x1",)
    assert at(found, 6000.0, 100, 80.0).winner == "late/fp32/1x1"


@pytest.mark.engines
def test_whom_the_race_dropped_may_win_elsewhere_by_its_screen(scenario, engine):
    dropped = (LedgerRow("race", "eliminated", "40 % dearer in the screening block"),)
    field = {
        "kept": line(engine, 0.2, 0.012),
        "dropped": line(engine, 2.5, 0.007, rounds=0, ledger=dropped),
        "lossy": line(engine, 0.1, 0.003, rounds=0, ledger=dropped, precision="int8", quality=()),
    }
    traffic = {"kind": "server", "qps": 100, "fleet_qps": FLEET_QPS, "batch_size": 300}
    found = decision_map([convene(scenario(field, traffic=traffic, sla={"p99": "60ms"}))])
    assert found.left_out == {"lossy/int8/1x1": "undecided"}, "its quality was never judged"
    assert at(found, FLEET_QPS, 100, 60.0).winner == "kept/fp32/1x1"
    large = at(found, FLEET_QPS, 800, 120.0)
    assert large.winner == "tie", "a fifth cheaper by one block is less than the race would drop anybody for"
    assert "by a screening block alone" in large.reason
    assert at(found, FLEET_QPS, 1600, 120.0).winner == "dropped/fp32/1x1"


def test_the_frame_has_a_row_for_each_point(found):
    frame = map_frame(found)
    assert list(frame.columns) == list(MAP_COLUMNS)
    assert len(frame) == len(found.points) == frame.groupby(["qps", "batch_size", "sla_ms"]).ngroups
    assert frame.cost.isna().equals(frame.winner == "none")


def test_other_runs_of_the_same_workload_add_their_sizes(scenario, engine):
    def at_size(size, **changed):
        traffic = {"kind": "server", "qps": 100, "fleet_qps": 6000, "batch_size": size}
        return scenario({"one": line(engine, 0.5, 0.01, np.full(800, size))}, traffic=traffic, **changed)

    first, second = convene(at_size(100)), convene(at_size(400))
    (curve,) = outlook([first, second]).map.curves
    assert curve.sizes == (100, 400)
    with pytest.raises(UserError, match="measured on another host; `bakeoff join` puts such runs side by side"):
        outlook([first, second], hosts=["here", "there"])
    with pytest.raises(UserError, match="measured on other resources"):
        outlook([first, convene(at_size(400, resources={"cpus": 2}))])
    with pytest.raises(UserError, match="another question than the first run's"):
        outlook([first, convene(at_size(400, sla={"p99": "10ms"}))])


def test_without_a_rate_or_a_limit_there_is_no_map(scenario, engine, run):
    offline = scenario({"one": engine(2.0)}, traffic={"kind": "offline", "batch_size": 100}, sla=None)
    with pytest.raises(UserError, match="ctr-ranking has no map: offline traffic has no rate and limit to vary"):
        outlook([convene(offline)])
    assert outlooks(run(offline)) == {}
    assert outlooks(run(scenario({"never": engine(None)}))) == {}


def test_one_that_missed_the_limit_with_its_quality_unknown_is_not_on_the_map(scenario, engine):
    late = line(engine, 12.0, 0.001, precision="int8", quality=(), rounds=0)
    found = decision_map([convene(scenario({"fp": line(engine, 2.0, 0.01), "late": late}))])
    assert found.left_out == {"late/int8/1x1": "undecided"}
    known = line(engine, 12.0, 0.001, precision="int8", rounds=0)
    found = decision_map([convene(scenario({"fp": line(engine, 2.0, 0.01), "late": known}))])
    assert found.left_out == {}
    made_up = scenario({"fp": line(engine, 2.0, 0.01), "late": known}, data="generated")
    assert decision_map([convene(made_up)]).left_out == {"late/int8/1x1": "undecided"}
