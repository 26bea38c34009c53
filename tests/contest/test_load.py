"""From a scenario's traffic to the load that it puts on an engine; and a trace that changed under a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.backends import Batching, Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import contest
from bakeoff.contest.load import SHORTEST_S, ClosedLoop, OpenLoop, beside, load_for, pattern_of, screening_loads
from bakeoff.errors import UserError
from bakeoff.measure import host, traffic
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import from_dict
from bakeoff.store.store import Store


def scenario(**asked):
    return from_dict({"workload": "ctr-dlrm", "sla": {"p99": "20ms"}, "traffic": asked})


@pytest.fixture
def trace(tmp_path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("arrival,items\n" + "".join(f"{i / 50},{1 + i % 3}\n" for i in range(300)))
    return path


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ({"kind": "server"}, Pattern("poisson")),
        ({"kind": "constant"}, Pattern("constant")),
        ({"kind": "burst", "burst": {"length": "40ms"}}, Pattern("burst", 3.0, 0.2, 0.04)),
        ({"kind": "burst", "burst": {"peak": 2.0, "length": "20ms"}}, Pattern("burst", 2.0, 0.2, 0.02)),
    ],
)
def test_open_loops(asked, pattern):
    load = load_for(scenario(**asked, qps=200))
    assert load == OpenLoop(pattern, 200, 4.0, 0.5)
    assert load_for(scenario(**asked, qps=200), 2.0, qps=300) == OpenLoop(pattern, 300, 2.0, 0.5)
    assert load_for(scenario(**asked, qps=2)).seconds == 20, "40 requests at least"


def test_a_block_of_bursts_is_never_too_short_to_hold_some():
    asked = scenario(kind="burst", burst={"length": "500ms", "share": "20%"}, qps=200)
    assert load_for(asked, longest_s=1.0).seconds == pytest.approx(5 * 0.5 / 0.2)


def test_how_much_can_it_take_begins_with_a_closed_loop_on_all_lanes():
    assert load_for(scenario(kind="burst", qps="max")) == ClosedLoop(4.0, fewest=40)
    assert load_for(scenario(kind="server", qps="max"), qps=70.0) == OpenLoop(Pattern(), 70.0, 4.0, 0.5)


ALONE = Candidate("onnxruntime", "fp32", Setting("1x1"))
SPRINT = ClosedLoop(0.5, fewest=30)


@pytest.mark.parametrize(("kind", "more"), [("server", [SPRINT]), ("single_stream", [])])
def test_a_screen_is_long_enough_to_drop_somebody_by(kind, more):
    rate = {"qps": 200} if kind == "server" else {}
    asked = scenario(kind=kind, duration="250ms", **rate)
    load = load_for(asked)
    assert load.seconds == 0.25
    first, *others = screening_loads(load, asked, ALONE)
    assert (first.seconds, others) == (SHORTEST_S, more)
    longer = load_for(scenario(kind=kind, **rate))
    assert screening_loads(longer, asked, ALONE) == [longer, *more]


def test_beside_live_traffic_goes_what_shows_how_long_calls_take():
    asked = scenario(kind="server", qps=200, batch_size=100)
    live, closed = load_for(asked), load_for(scenario(kind="server", qps="max"))
    batched = replace(ALONE, setting=ALONE.setting.batched(Batching(450, 1.0)))
    assert beside(live, asked, ALONE) == [SPRINT]
    assert beside(live, asked, batched) == [SPRINT, replace(SPRINT, join=4)]
    assert beside(closed, asked, ALONE) == []
    assert beside(closed, asked, batched) == [replace(closed, join=4)], "it is a closed loop itself"
    assert beside(live, asked, replace(ALONE, backend="endpoint@today")) == []


def test_a_sprints_legs_are_as_long_as_it_together():
    assert SPRINT.leg == ClosedLoop(0.05, fewest=3)
    assert replace(SPRINT, fewest=32, join=4).leg == ClosedLoop(0.05, fewest=4, join=4)


@pytest.mark.parametrize(
    ("asked", "load"),
    [
        ({"kind": "offline"}, ClosedLoop(4.0)),
        ({"kind": "single_stream"}, ClosedLoop(4.0, lanes=1)),
        ({"kind": "multi_stream", "samples_per_query": 5}, ClosedLoop(4.0, lanes=1, join=5)),
    ],
)
def test_closed_loops(asked, load):
    assert load_for(scenario(**asked)) == load


def test_a_trace_brings_its_arrivals_and_its_items(trace):
    load = load_for(scenario(kind="trace", trace=str(trace)))
    assert load.qps == pytest.approx(50)
    due = traffic.schedule(load.pattern, load.qps, load.seconds, 1)
    assert len(due.arrivals_ns) == 200
    assert set(due.items.tolist()) == {1, 2, 3}


def test_a_trace_that_changed_is_not_played(trace):
    asked = scenario(kind="trace", trace=str(trace))
    trace.write_text(trace.read_text() + "7,1\n")
    with pytest.raises(UserError, match="has changed since the scenario was read"):
        pattern_of(asked.traffic)


def test_a_run_does_not_go_on_with_another_trace(trace, tmp_path):
    asked = scenario(kind="trace", trace=str(trace))
    with Store.open(str(tmp_path / "runs.db")) as store:
        run = store.begin("bakeoff run x.yaml", host.facts(), host.versions(), None, 0)
        store.add_scenario(run, asked.name, asked.definition(), {"key": "any"})
        store.set_status(run, "running")
        trace.write_text(trace.read_text() + "7,1\n")
        with pytest.raises(UserError) as caught:
            contest.resume(run, store, logs=tmp_path)
    words = f"run {run}: {trace}: has changed since the scenario was read; run it anew: bakeoff run x.yaml"
    assert str(caught.value) == words
