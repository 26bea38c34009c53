"""What a variant gained over the base that is served alike."""

import json

import pytest

from bakeoff.decide.as_json import to_json
from bakeoff.decide.verdict import judge_scenario, verdicts


def gain_of(found, variant="pruned"):
    return next(one.gain for one in found.candidates if one.variant == variant)


def pair(engine, base_ms, pruned_ms, **more):
    return {
        "base": engine(base_ms, backend="ort"),
        "pruned": engine(pruned_ms, backend="ort", variant="pruned", **more),
        "other": engine(5.0, backend="other"),
    }


def test_a_cheaper_variant_has_a_gain_with_its_interval(scenario, engine):
    found = judge_scenario(scenario(pair(engine, 4.0, 2.0)))
    gain = gain_of(found)
    assert (gain.over, gain.outcome, gain.by) == ("ort/fp32/1x1", "gain", "rounds")
    assert 0 < gain.low < gain.value < gain.high < 1
    costs = {one.variant: one.cost for one in found.candidates if one.backend == "ort"}
    assert gain.value == pytest.approx(1 - costs["pruned"] / costs["base"], rel=0.01)
    assert all(one.gain is None for one in found.candidates if one.variant == "base")


@pytest.mark.parametrize("pruned_ms", [3.0, 3.6], ids=["alike", "dearer"])
def test_zeros_in_a_dense_model_are_credited_with_nothing(scenario, engine, pruned_ms):
    gain = gain_of(judge_scenario(scenario(pair(engine, 3.0, pruned_ms))))
    assert gain.outcome == "none"
    assert gain.low <= 0 or gain.value < 0.02


def test_a_gain_smaller_than_what_matters_is_none(scenario, engine):
    field = pair(engine, 3.0, 2.4)
    for each in field.values():
        each.noise = 0.001
    assert gain_of(judge_scenario(scenario(field))).outcome == "gain"
    assert gain_of(judge_scenario(scenario(field, matters="50%"))).outcome == "none"


@pytest.mark.parametrize("screened", ["base", "pruned"])
def test_what_one_of_them_was_measured_in_by_its_screen_alone_has_no_interval(scenario, engine, screened):
    field = pair(engine, 4.0, 2.0)
    field[screened].rounds = 0
    gain = gain_of(judge_scenario(scenario(field)))
    assert (gain.over, gain.outcome, gain.by) == ("ort/fp32/1x1", "gain", "screen")
    assert 0.3 < gain.value < 0.7
    assert (gain.low, gain.high) == (None, None)


@pytest.mark.parametrize("pruned_ms", [2.9, 3.0, 3.6], ids=["hardly cheaper", "alike", "dearer"])
def test_a_block_that_is_not_clearly_cheaper_shows_no_gain(scenario, engine, pruned_ms):
    field = pair(engine, 3.0, pruned_ms)
    field["base"].rounds = 0
    gain = gain_of(judge_scenario(scenario(field)))
    assert (gain.outcome, gain.by, gain.low) == ("none", "screen", None)


def test_what_has_no_cost_or_no_base_is_not_compared(scenario, engine):
    field = pair(engine, 3.0, 2.0)
    field["base"].service_ms = None
    unmeasured = gain_of(judge_scenario(scenario(field)))
    assert (unmeasured.over, unmeasured.outcome, unmeasured.by) == ("ort/fp32/1x1", "not compared", None)
    alone = {"pruned": engine(2.0, backend="ort", variant="pruned"), "other": engine(3.0)}
    lonely = gain_of(judge_scenario(scenario(alone)))
    assert (lonely.over, lonely.outcome) == (None, "not compared")


def test_a_variant_is_set_beside_the_base_at_its_own_precision(scenario, engine):
    field = pair(engine, 4.0, 2.0) | {"int8": engine(2.0, backend="ort", precision="int8-dynamic", variant="pruned")}
    found = judge_scenario(scenario(field))
    by_precision = {one.precision: one.gain for one in found.candidates if one.variant == "pruned"}
    assert by_precision["fp32"].outcome == "gain"
    assert (by_precision["int8-dynamic"].over, by_precision["int8-dynamic"].outcome) == (None, "not compared")


def test_the_gain_is_in_the_json(scenario, engine, run):
    record = run(scenario(pair(engine, 4.0, 2.0)))
    found = json.loads(json.dumps(to_json(record, verdicts(record)), allow_nan=False))
    gains = {each["candidate"]: each["gain"] for each in found["scenarios"][0]["candidates"]}
    assert gains["ort/fp32/1x1"] is None
    assert gains["ort/fp32/1x1/pruned"].keys() == {"over", "outcome", "by", "value", "low", "high"}
