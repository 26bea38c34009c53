"""What would turn the verdict: floors, headroom and prices."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.decide.court import convene
from bakeoff.decide.maps.frames import STRETCH_COLUMNS, sensitivity_frame
from bakeoff.decide.what_if.sensitivity import Stretch, rounded_down, rounded_up, sensitivity, told
from bakeoff.store.record import LedgerRow

FP32, INT8 = "fp/fp32/1x1", "int/int8-dynamic/1x1"


def field(engine, quality, delta=-0.0033, rounds=4, **more):
    return {
        "fp": engine(3.0, noise=0.004, quality=(quality(0.0, 0.0),)),
        "int": engine(2.0, precision="int8-dynamic", noise=0.004, rounds=rounds, quality=(quality(delta),), **more),
    }


def floors(scenario, engines, **changed):
    return [one for one in sensitivity(convene(scenario(engines, **changed))) if "floor" in one.varied]


def test_a_lossy_one_would_win_at_a_looser_floor(scenario, engine, quality):
    tight, loose = floors(scenario, field(engine, quality))
    assert (tight.low, tight.winner, tight.holds_asked) == (0.0, FP32, True)
    assert (loose.low, loose.winner, loose.holds_asked) == (pytest.approx(0.0034), INT8, False)
    assert tight.high == loose.low
    assert math.isinf(loose.high)
    (sentence,) = told([tight, loose])
    assert sentence.startswith(f"{INT8} would win if the auc floor were 0.0034 or more (asked: 0.002): {FP32} is ")


def test_a_relative_floor_is_told_in_its_own_terms(scenario, engine, quality):
    _, loose = floors(scenario, field(engine, quality), quality={"auc": "0.1%"})
    assert loose.low == pytest.approx(0.0034 / 0.7)


def test_what_lost_on_cost_is_back_where_the_floor_is_tighter(scenario, engine, quality):
    engines = field(engine, quality, delta=-0.001)
    engines["fp"].rounds, engines["fp"].ledger = 0, (LedgerRow("screen", "eliminated", "50 % dearer"),)
    tight, asked = floors(scenario, engines)
    assert (tight.winner, asked.winner, asked.holds_asked) == (FP32, INT8, True)
    assert asked.low == pytest.approx(0.0011)
    assert "by a screening block alone" in asked.reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_quality_that_is_no_number_is_enough_for_no_floor(scenario, engine, quality, value):
    engines = field(engine, quality)
    engines["int"].quality = (replace(quality(-0.001), low=-value),)
    (only,) = floors(scenario, engines)
    assert only.winner == FP32


def test_generated_inputs_judge_no_floor(scenario, engine, quality):
    assert floors(scenario, field(engine, quality), data="generated") == []


def test_headroom_turns_a_tie_by_replicas(scenario, engine):
    """One replica of either carries 150 requests/s; with more room above that, only the quicker one's does."""
    engines = {"a": engine(3.0, noise=0.001), "b": engine(1.5, noise=0.001)}
    traffic = {"kind": "server", "qps": 100, "fleet_qps": 150, "batch_size": 100}
    court = convene(scenario(engines, traffic=traffic))
    found = [one for one in sensitivity(court) if one.varied == "the headroom"]
    assert [(one.winner, one.holds_asked) for one in found] == [("tie", True), ("b/fp32/1x1", False)]
    rooms = [qps / 150 - 1.0 for qps in court.evidence["a/fp32/1x1"].capacity_qps.values()]
    assert found[0].high == found[1].low
    assert min(rooms) <= found[0].high <= max(rooms) + 0.05, "it is asked in steps of 0.05"
    frame = sensitivity_frame(found)
    assert list(frame.columns) == list(STRETCH_COLUMNS)
    assert frame.high.isna().tolist() == [False] * (len(found) - 1) + [True]


def test_where_replicas_hold_unlike_cores_it_matters_what_is_paid_for(scenario, engine):
    court = convene(scenario({"lean": engine(3.0, noise=0.002), "broad": engine(1.4, noise=0.002)}))
    cores = {"lean/fp32/1x1": 1, "broad/fp32/1x1": 4}
    court = replace(court, evidence={name: replace(one, cpus=cores[name]) for name, one in court.evidence.items()})
    host, *between, core = [one for one in sensitivity(court) if "cores" in one.varied]
    assert (host.winner, core.winner, core.asked) == ("broad/fp32/1x1", "lean/fp32/1x1", 1.0)
    assert core.holds_asked
    broad, lean = (np.mean(list(court.evidence[name].items_per_s.values())) for name in sorted(cores))
    assert host.high - 0.05 <= (broad / lean - 1) / 3 <= core.low
    assert all(one.winner == "tie" for one in between)


def test_where_all_hold_the_same_no_price_turns_anything(scenario, engine, quality):
    found = sensitivity(convene(scenario(field(engine, quality))))
    assert {one.varied for one in found} == {"the auc floor", "the headroom"}


@given(st.floats(1e-9, 1e9))
def test_what_a_person_would_write_is_enough_and_no_more_than_it_need_be(value):
    up, down = rounded_up(value), rounded_down(value)
    assert down <= value * (1 + 1e-9)
    assert value <= up <= value * 1.11
    assert float(f"{up:.1e}") == pytest.approx(up, rel=1e-12)
    assert down >= value * 0.9


def test_one_that_is_undecided_elsewhere_might_win(scenario, engine, quality):
    engines = field(engine, quality)
    engines["int"].rounds = 2
    *_, loose = floors(scenario, engines)
    assert (loose.winner, loose.sure) == (INT8, False)
    (sentence,) = told([loose])
    assert sentence.startswith(f"{INT8} might win if")


def test_bounds_are_enough_and_fractions_are_in_per_cent():
    below = Stretch("the auc floor", 0.0, 0.00246, 0.01, FP32, (), None, None, "it is")
    assert told([below]) == [f"{FP32} would win if the auc floor were below 0.0024 (asked: 0.01): it is."]
    more = Stretch("the headroom", 0.45, math.inf, 0.2, FP32, (), None, None, "it is", relative=True)
    assert told([more]) == [f"{FP32} would win if the headroom were 45% or more (asked: 20%): it is."]
