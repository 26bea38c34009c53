"""The gate of the nightly check, as a scenario says it."""

import json

import pytest

from bakeoff.decide.drift.answers import ARTIFACT_SIZE, MEASURED, QUALITY
from bakeoff.errors import UserError
from bakeoff.scenario import Gate, load_scenario, restore


def test_service_time_artifact_size_and_quality_decide_unless_told_otherwise(good):
    gate = load_scenario(good()).gate
    assert gate.thresholds == {"service_time": 0.02, "artifact_size": 0.02}
    assert gate.quality


def test_more_may_decide_and_the_store_gives_it_back(good):
    gate = "{service_time: 3%, artifact_size: 5%, memory: 10%, capacity: 20%, quality: false}"
    scenario = load_scenario(good(f"gate: {gate}"))
    expected = {"service_time": 0.03, "artifact_size": 0.05, "capacity": 0.2, "memory": 0.1}
    assert scenario.gate.thresholds == expected
    assert not scenario.gate.quality
    stored = json.loads(json.dumps(scenario.definition()))
    assert restore(stored) == scenario
    del stored["gate"]
    assert restore(stored).gate == Gate(), "as runs from before hold it"


def test_what_decides_unless_told_otherwise_can_be_switched_off(good):
    scenario = load_scenario(good("gate: {service_time: null, artifact_size: null}"))
    assert scenario.gate.thresholds == {}
    assert restore(json.loads(json.dumps(scenario.definition()))) == scenario


def test_the_metrics_are_those_of_the_check():
    assert set(Gate.model_fields) == {*MEASURED, ARTIFACT_SIZE, QUALITY}


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("{service_time: 2}", "gate.service_time: 2: must be a percentage with its sign, as in 0.1%"),
        ("{service_tim: 2%}", "gate.service_tim: unknown key; did you mean service_time?"),
        ("{memory: 200%}", "gate.memory: '200%': must be from 0% to 100%"),
        ("{capacity: 100%}", "gate.capacity: '100%': must be below 100%"),
        ("{quality: 2%}", "gate.quality: '2%': must be a valid boolean"),
        ("[memory]", "gate: a list of 1: must be a mapping of keys, as in gate: {artifact_size: 5%, memory"),
    ],
)
def test_bad_input_is_one_line(good, gate, expected):
    with pytest.raises(UserError) as caught:
        load_scenario(good(f"gate: {gate}"))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("traffic", "gate", "expected"),
    [
        ("{kind: single_stream}", "{p99: 5%}", "gate.p99: '5%': goes with traffic at a rate"),
        ("{kind: server, qps: max}", "{p99: 5%}", "gate.p99: '5%': goes with traffic at a rate"),
        ("{kind: offline}", "{capacity: 5%}", "gate.capacity: '5%': goes with requests that arrive at a rate"),
    ],
)
def test_what_the_traffic_does_not_give_cannot_decide(write, traffic, gate, expected):
    with pytest.raises(UserError) as caught:
        load_scenario(write(f"workload: ctr-dlrm\ntraffic: {traffic}\nsla: {{p99: 20ms}}\ngate: {gate}"))
    assert expected in str(caught.value)
