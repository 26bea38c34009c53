"""The batchers that a scenario asks for: what is read, and what would be right."""

import json

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import Batcher, from_dict, load_scenario, restore

LIVE = """
workload: ctr-dlrm
traffic: {kind: server, qps: 200, batch_size: [{items: 60, weight: 1}, {items: 90, weight: 1}]}
sla: {p99: 20ms}
"""


def batching(scenario):
    return [(each.items, each.wait_ms) for each in scenario.candidates.batching]


def test_batchers_are_read_and_restored(write):
    text = (
        LIVE + "candidates: {batching: [{items: 512, wait: 2ms}, {items: 120, wait: 0ms}, {items: 512, wait: 500us}]}"
    )
    scenario = load_scenario(write(text))
    assert batching(scenario) == [(512, 2.0), (120, 0.0), (512, 0.5)]
    assert restore(json.loads(json.dumps(scenario.definition()))) == scenario
    assert isinstance(scenario.candidates.batching[0], Batcher)


def test_by_default_there_is_none_and_older_runs_have_none(good):
    scenario = load_scenario(good())
    assert scenario.candidates.batching == ()
    definition = scenario.definition()
    del definition["candidates"]["batching"]
    assert restore(definition) == scenario


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{items: 512, wait: 2ms}", ".batching: a mapping of 2: must be a list, as in batching: [{items: 512,"),
        ("[512]", ".batching[0]: 512: must be a mapping of keys"),
        ("[{items: 512}]", ".batching[0].wait: missing"),
        ("[{wait: 2ms}]", ".batching[0].items: missing, as in items: 512"),
        ("[{item: 512, wait: 2ms}]", ".batching[0].item: unknown key; did you mean items? (and 1 more)"),
        ("[{items: 1, wait: 2ms}]", ".batching[0].items: 1: must be greater than 1, as in items: 512"),
        ("[{items: 512, wait: 2}]", ".batching[0].wait: 2: must be a duration with its unit (us, ms or s), as in 2ms"),
        ("[{items: 512, wait: 11s}]", ".batching[0].wait: '11s': must be from 0ms to 10s, as in 2ms"),
        (
            "[{items: 512, wait: 2ms}, {items: 512, wait: 2000us}]",
            ".batching: a list of 2: must name each batcher once",
        ),
        ("[{items: 119, wait: 2ms}]", ".batching[0].items: must be at least 120, for two requests of 60 items"),
        ("[" + "{items: 512, wait: 2ms}," * 9 + "]", ".batching: a list of 9: must have at most 8 items"),
    ],
)
def test_mistakes_are_one_clear_line(write, written, expected):
    with pytest.raises(UserError) as caught:
        load_scenario(write(f"{LIVE}candidates: {{batching: {written}}}"))
    assert str(caught.value).startswith(f"x.yaml: candidates{expected}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["single_stream", "multi_stream", "offline"])
def test_where_no_request_waits_there_is_nothing_to_join(kind):
    asked = {"batching": [{"items": 512, "wait": "2ms"}]}
    with pytest.raises(UserError, match=f"candidates.batching: .*arrive at a rate, not with {kind}"):
        from_dict({"workload": "ctr-dlrm", "traffic": {"kind": kind}, "candidates": asked})
