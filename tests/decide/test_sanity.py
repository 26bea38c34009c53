"""Speed ratios outside published bands: each band from both sides, and what is never held to one."""

import json
from dataclasses import replace

import pytest

from bakeoff.backends import Batching
from bakeoff.decide import sanity
from bakeoff.decide.as_json import to_json
from bakeoff.decide.verdict import judge_scenario, verdicts

VNNI, OLD = ("avx2", "avx512_vnni"), ("avx2",)
ROWS, FEW, ENCODER = 100, 16, "search-biencoder"


def asked(scenario, field, rows=ROWS):
    return scenario(field, traffic={"kind": "offline", "batch_size": rows}, sla=None)


def found(scenario, field, flags=VNNI, workload="ctr-dlrm", rows=ROWS):
    record = asked(scenario, {name: replace(each, noise=0.001) for name, each in field.items()}, rows)
    record = replace(record, workload={"name": workload, "data": "real"})
    return judge_scenario(record, measured_on=flags).suspicions


def pair(engine, ratio, of=({}, {}), base_ms=6.0, rounds=4):
    """One that is `ratio` times as fast as the other, and in what they differ."""
    usual = {"backend": "onnxruntime", "rounds": rounds}
    return {
        "slow": engine(base_ms, **usual | of[1]),
        "quick": engine(base_ms / ratio, **usual | of[0]),
    }


INT8 = ({"precision": "int8-dynamic"}, {})
PRUNED = ({"variant": "prune:0.9+finetune"}, {})


@pytest.mark.parametrize(
    ("band", "of", "flags", "workload", "rows", "edges"),
    [
        pytest.param(sanity.ORT_OVER_TORCH, ({}, {"backend": "torch"}), VNNI, "ctr-dlrm", ROWS, (0.9, 2.0), id="ort"),
        pytest.param(sanity.INT8_ENCODER, INT8, VNNI, ENCODER, ROWS, (1.5, 3.3), id="encoder"),
        pytest.param(sanity.INT8_FEW_ROWS, INT8, VNNI, "ctr-dlrm", FEW, (None, 5.0), id="few rows"),
        pytest.param(sanity.INT8_MANY_ROWS, INT8, VNNI, "ctr-dlrm", ROWS, (None, 20.0), id="many rows"),
        pytest.param(sanity.INT8_AVX2, INT8, OLD, ENCODER, ROWS, (1.0, 1.6), id="AVX2 alone"),
        pytest.param(sanity.ZEROS, PRUNED, VNNI, "ctr-dlrm", ROWS, (0.85, 1.05), id="zeros"),
    ],
)
def test_a_ratio_outside_its_band_is_named_and_one_inside_is_not(
    scenario, engine, band, of, flags, workload, rows, edges
):
    low, high = edges
    assert (band.low, band.high) == edges
    inside, outside = [high * 0.97], [high * 1.03]
    if low is None:
        inside.append(0.5)
    else:
        inside.append(low * 1.03)
        outside.append(low * 0.97)
    for ratio in inside:
        assert found(scenario, pair(engine, ratio, of), flags, workload, rows) == ()
    for ratio in outside:
        (one,) = found(scenario, pair(engine, ratio, of), flags, workload, rows)
        assert (one.name, one.low, one.high) == (band.name, *edges)
        assert one.ratio == pytest.approx(ratio, rel=0.02)
        assert one.candidate.startswith("onnxruntime/")
        assert one.against.endswith("fp32/1x1")
        assert one.sentence.startswith(f"Suspicion {band.name}: {one.candidate} is ")
        assert band.check in one.sentence


def test_short_calls_are_given_the_usual_cause(scenario, engine):
    of = ({}, {"backend": "torch"})
    (short,) = found(scenario, pair(engine, 5.0, of, base_ms=0.6))
    assert "Calls of 0.12 ms are bound by their overhead, where such ratios are ordinary." in short.sentence
    (long,) = found(scenario, pair(engine, 5.0, of))
    assert "overhead" not in long.sentence


def test_an_unknown_cpu_is_held_to_the_widest_band(scenario, engine):
    assert found(scenario, pair(engine, 3.0, INT8), flags=()) == ()
    assert found(scenario, pair(engine, 1.2, INT8), flags=(), workload=ENCODER) == ()
    assert found(scenario, pair(engine, 1.2, INT8), flags=VNNI, workload=ENCODER) != ()


def test_without_a_round_together_a_ratio_must_be_farther_outside(scenario, engine):
    of = ({}, {"backend": "torch"})
    assert found(scenario, pair(engine, 2.1, of, rounds=0)) == ()
    assert len(found(scenario, pair(engine, 2.3, of, rounds=0))) == 1


@pytest.mark.parametrize("precision", ["int8-weight-only", "int8-mixed"])
def test_what_does_not_compute_in_int8_throughout_owes_no_gain(scenario, engine, precision):
    of = ({"precision": precision}, {})
    assert found(scenario, pair(engine, 0.9, of), flags=VNNI, workload=ENCODER) == ()
    (one,) = found(scenario, pair(engine, 3.6, of), flags=VNNI, workload=ENCODER)
    assert (one.low, one.high) == (None, 3.3)


@pytest.mark.parametrize("other", [{"backend": "openvino"}, {"variant": "distill:0.5"}, {"precision": "bf16"}])
def test_what_may_well_be_faster_is_held_to_no_band(scenario, engine, other):
    assert found(scenario, pair(engine, 8.0, (other, {}))) == ()


def test_neither_another_setting_nor_joined_calls_are_compared(scenario, engine):
    record = asked(scenario, pair(engine, 8.0, INT8))
    slow, quick = record.candidates
    for alike, change in ((False, {"name": "1x2", "threads": 2}), (True, {"batching": Batching(64, 1.0)})):
        setting = replace(quick.candidate.setting, **change)
        changed = [slow, replace(quick, candidate=replace(quick.candidate, setting=setting))]
        if alike:
            changed[0] = replace(slow, candidate=replace(slow.candidate, setting=setting))
        unlike = replace(record, candidates=tuple(changed))
        assert judge_scenario(unlike, measured_on=OLD).suspicions == ()


def test_suspicions_stand_in_the_json_by_the_flags_of_the_host_that_measured(scenario, engine, run):
    record = run(asked(scenario, pair(engine, 3.0, INT8)))
    assert to_json(record, verdicts(record))["scenarios"][0]["suspicions"] == []
    old = replace(record, host={"cpu_flags": list(OLD)})
    (told,) = json.loads(json.dumps(to_json(old, verdicts(old, VNNI))))["scenarios"][0]["suspicions"]
    assert told["name"] == "int8-over-fp32"
    assert told["against"] == "onnxruntime/fp32/1x1"
    assert told["low"] == 1.0
