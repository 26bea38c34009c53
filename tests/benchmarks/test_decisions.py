"""Small versions of what decisions.py shows, on simulated engines and on real ones, and that each can fail."""

import math
import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import decisions
import fleet
import numpy as np
import pytest
from deciding import asked as asking
from deciding import deployed, hours, race, serving
from deciding.regrets import regret
from proofs.proof import Proof
from proofs.queues import SERVICES, block
from small_servers import running

from bakeoff.api import Run
from bakeoff.backends import Artifact, Model, Setting, configured, create
from bakeoff.candidates import Candidate
from bakeoff.contest.plan import Entry
from bakeoff.measure.block import Block
from bakeoff.scenario import from_dict
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

ROUNDS, REQUESTS = 4, 1500
LIMIT_MS = 20.0
ITEMS = 32
FAST, SLOW, LATE = ("fast/fp32/1x1", "slow/fp32/1x1", "late/fp32/1x1")


@pytest.fixture
def kept(tmp_path):
    """Writes a step's run: blocks by candidate, round and position, and the candidates' facts."""

    def write(step, blocks, status="finished", traffic=None, **facts):
        scenario = from_dict(
            {
                "workload": "ctr-dlrm",
                "traffic": traffic or {"kind": "server", "qps": 300},
                "sla": {"p99": f"{LIMIT_MS}ms"},
                "resources": {"cpus": 1},
            }
        )
        place = tmp_path / f"{step}.db"
        with Store.open(place) as store:
            run = store.begin(step, {}, {})
            store.add_scenario(run, scenario.name, scenario.definition(), {"data": "real"})
            for name, played in blocks.items():
                backend, precision, setting = name.split("/")
                store.add_candidate(run, scenario.name, Candidate(backend, precision, Setting(setting)))
                store.add_row(run, scenario.name, name, LedgerRow("probe", "ok", facts=facts.get(backend, {})))
                for (number, position), one in played.items():
                    store.add_block(run, scenario.name, name, number, position, one)
            store.finish(run, status)
        return Run(run, str(place))

    return write


def served(service_ms, seed=0, items=1):
    """Rounds of a simulated engine that takes about so long."""
    rng = np.random.default_rng(seed)
    unit_s = service_ms / 1e3
    played = (block(SERVICES["M/E4/1"], 300 * unit_s, REQUESTS, rng, unit_s, warm_up=0) for _ in range(ROUNDS + 1))
    return {(number, 0): replace(one, items=one.items * items) for number, one in enumerate(played)}


def test_a_choice_is_held_against_the_best_by_the_rounds(kept):
    run = kept("all", {FAST: served(1.0), SLOW: served(1.25), LATE: served(3.2)})
    (record,) = run.record().scenarios
    assert regret(record, FAST).value == 0.0
    dearer = regret(record, SLOW)
    assert dearer.best == FAST
    assert dearer.value == pytest.approx(0.27, abs=0.08)
    assert dearer.low < dearer.value < dearer.high


@pytest.mark.parametrize(("choice", "why"), [(None, "nothing was chosen"), (LATE, "20 ms"), ("a/b/c", "not measured")])
def test_a_choice_that_misses_a_gate_there_has_no_excuse(kept, choice, why):
    (record,) = kept("all", {FAST: served(1.0), LATE: served(3.2)}).record().scenarios
    found = regret(record, choice)
    assert found.value == math.inf
    assert why in found.why
    (record,) = kept("none", {LATE: served(3.2)}).record().scenarios
    assert regret(record, LATE).why == "nothing passed every gate"


def test_races_are_told_from_the_runs_that_are_kept(kept, tmp_path):
    everyone = {FAST: served(1.0), SLOW: served(1.25)}
    for step in ("race-0", "race-1", "exhaustive-0"):
        kept(step, everyone)
    kept("exhaustive-1", everyone, status="stopped")
    given = asking.Asked(tmp_path, seeds=2, exhaustive_runs=1)
    assert given.kept("exhaustive-1") is None, "what was killed begins anew"
    pair, other = race.pairs(given)
    assert (other.choice, other.regret) == (pair.choice, pair.regret), "one exhaustive run judges both"
    assert (pair.candidates, pair.choice, pair.regret.value) == (2, FAST, 0.0)
    block_min = REQUESTS / 300 / 60
    assert pair.whole_min == pytest.approx(2 * block_min * (1 + 20 * 2), rel=0.1), "whatever budget it had"
    (record,) = given.kept("race-0").record().scenarios
    assert hours.contenders(record, SLOW, 2) == [SLOW, FAST]
    assert hours.contenders(record, SLOW, 1) == [SLOW]


def test_hours_are_told_from_the_lines_of_a_file(kept, tmp_path):
    first, later = datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 1, 15, tzinfo=UTC)
    (one,) = kept("one", {FAST: served(1.0), SLOW: served(1.25)}).record().scenarios
    (two,) = kept("two", {FAST: served(1.25), SLOW: served(1.0), LATE: served(3.2)}).record().scenarios
    found = [
        hours.Hour.of(one, first, FAST, [FAST, SLOW]),
        hours.Hour.of(two, later, FAST, [FAST, SLOW]),
        hours.Hour.of(two, later, LATE, [LATE, SLOW]),
    ]
    hours.write(tmp_path / "evidence" / "hours.csv", found)
    read = hours.read(tmp_path / "evidence" / "hours.csv")
    assert [(hour.began, hour.choice, hour.contenders, hour.best, hour.why) for hour in read] == [
        (first, FAST, (FAST, SLOW), FAST, ""),
        (later, FAST, (FAST, SLOW), SLOW, ""),
        (later, LATE, (LATE, SLOW), SLOW, found[2].why),
    ]
    assert [hour.regret for hour in read] == pytest.approx([0.0, found[1].regret, math.inf], abs=1e-4)
    assert "20 ms" in found[2].why
    told = hours.judged(read[:2], repeats=2)
    assert told.measured.startswith("1 of 2 over 6.0 h")
    assert not told.held
    assert hours.judged(read[:1], repeats=1).held
    assert hours.read(tmp_path / "none.csv") == []
    assert told.claim.startswith(f"{FAST}, chosen once, against")
    moved = [read[0], replace(read[1], cpu="another: avx2", choice=SLOW)]
    assert hours.judged(moved, repeats=2).claim.startswith(f"{FAST} and {SLOW}, chosen once on each of 2 CPUs, against")


def test_another_hour_has_to_come_first(tmp_path):
    now = datetime.now(UTC)
    with pytest.raises(SystemExit, match="the run before began 0 min ago; wait until it is 20"):
        next(hours.repeated(asking.Asked(tmp_path), FAST, [FAST], now, 1))
    assert not list(hours.repeated(asking.Asked(tmp_path), FAST, [FAST], now, 0))


def test_parts_of_the_scenario_are_merged_and_an_empty_one_takes_its_place(tmp_path):
    given = asking.Asked(tmp_path)
    assert list(given.changed().variants) == [*asking.VARIANTS]
    changed = given.changed(traffic=deployed.MOST, quality={}, variants={}, incumbent=None)
    assert changed.traffic.asks_capacity
    assert changed.traffic.fleet_qps == given.changed().traffic.fleet_qps
    assert (changed.quality, changed.variants, changed.incumbent) == ({}, {}, None)
    assert not given.changed(traffic=deployed.ONE_AT_A_TIME).traffic.open_loop


def closed(seconds_of, sizes, seed=0):
    """One request after the other, which take what their size does."""
    items = np.random.default_rng(seed).choice(sizes, REQUESTS).astype(np.int32)
    services = np.array([round(1e9 * seconds_of[size]) for size in items.tolist()])
    done = np.cumsum(services)
    started = done - services
    request = np.arange(REQUESTS, dtype=np.int32)
    return Block("closed", None, request, items, started, started, started, done, int(done[-1]), 0)


def test_a_capacity_behind_a_server_is_predicted_from_what_it_adds(kept):
    """Known by theory: an M/D/1 that takes 1 ms, to which the server adds half as much, and its client 0.1 ms."""
    server, inside_s, theirs_s = "endpoint@deployed/fp32/c2", {1: 1e-3, 2: 2e-3}, {1: 1.6e-3, 2: 3.1e-3}
    places = [(number, 0) for number in range(1, 4)]
    beside = kept(
        "beside",
        {
            FAST: {place: closed(inside_s, [1, 2]) for place in places},
            server: {place: closed(theirs_s, [1, 2]) for place in places},
        },
        traffic={"kind": "single_stream"},
        **{"endpoint@deployed": {"client_ns": 100_000}},
    )
    cost = deployed.cost_of(beside, FAST, server)
    assert cost.server_s == pytest.approx({1: 0.5e-3, 2: 1e-3})
    assert cost.client_s == pytest.approx(1e-4)
    rng = np.random.default_rng(1)
    alone = {place: block(SERVICES["M/D/1"], 0.5, 4000, rng, 1e-3) for place in places}
    inside = kept("inside", {FAST: alone})
    scenario = from_dict({"workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": 1}, "sla": {"p99": "20ms"}})

    def truth_qps(service_ms, waiting_ms):
        limit = (LIMIT_MS - waiting_ms) / service_ms
        return SERVICES["M/D/1"].capacity_qps(limit, 99.0) / service_ms * 1e3

    by_many = deployed.predicted(inside, FAST, cost, scenario, queued=True)
    assert by_many == pytest.approx(truth_qps(1.5, 0.1), rel=0.03)
    by_one = deployed.predicted(inside, FAST, cost, scenario, queued=False)
    assert by_one == pytest.approx(truth_qps(1.6, 0.0), rel=0.03)


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_a_race_and_another_hour_are_run_where_the_store_has_them_not(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    given = asking.Asked(
        tmp_path / "store",
        scenario_file(tmp_path, tiny_prepared),
        (),
        seeds=1,
        hour_s=10.0,
        apart_s=0,
        repeats=2,
        hours=tmp_path / "hours.csv",
    )
    given.hold("race-0", asking.seeded(given.question(), 7), None)
    shutil.copy(given.store / "race-0.db", given.store / "exhaustive-0.db")
    raced = race.race(given)
    assert raced.figures["choice_0"] == raced.figures["best_0"] == "onnxruntime/fp32/1x1"
    assert raced.measured.startswith("1 of 1 (the best itself in 1, largest regret 0.0%)")
    assert not raced.held, "one candidate, and no time saved"
    assert given.kept("race-0").record().scenarios[0].definition["seed"] == 7
    assert " of 1 over 0.0 h" in hours.hours(given).measured
    for place in given.store.glob("[re]*.db"):
        place.unlink()
    assert " of 2 over 0.0 h" in hours.hours(given).measured, "the file holds what another hour needs"
    for place in given.store.glob("hour-*.db"):
        assert given.kept(place.stem).record().scenarios[0].definition["exhaustive"]


def scenario_file(folder, prepared):
    shutil.copy(prepared.variants["base"]["onnx"], folder / "model.onnx")
    path = folder / "tiny.yaml"
    path.write_text(
        "workload: model.onnx\n"
        "traffic: {kind: single_stream, batch_size: 4, duration: 100ms}\n"
        "resources: {cpus: 1}\n"
        "candidates: {backends: [onnxruntime], precisions: [fp32], settings: [1x1]}\n"
    )
    return path


@contextmanager
def small(entry, artifact, cpus, folder):
    """A real server in a thread of this process, for the plugin's own session."""
    session = create(entry.target).load(artifact, entry.candidate.setting, "cpu")
    with running(session.infer) as server:
        server.inputs = {each.name: ("FP32", [-1, *each.shape[1:]]) for each in artifact.inputs}
        yield {"url": f"http://127.0.0.1:{server.port}", "protocol": "v2-binary", "model": "ranker"}


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a server and its clients need a CPU each")
def test_a_winner_is_deployed_and_measured_there(kept, tmp_path, monkeypatch):
    """Its own process is simulated here; the server is real, and what is measured before it."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "most.yaml").write_text(
        f"workload: {fleet.model(tmp_path, width=768)}\n"
        f"traffic: {{kind: server, qps: 100, batch_size: {ITEMS}, duration: 200ms}}\n"
        "sla: {p50: 100ms, error_rate: 50%}\n"
        "resources: {cpus: 1}\n"
    )
    winner = "onnxruntime/fp32/1x1"
    for step in ("choice", "inside"):
        kept(step, {winner: served(1.0, items=ITEMS)})
    given = asking.Asked(tmp_path, tmp_path / "most.yaml", (), deployed_s=8.0)
    found = deployed.deployed(given, small)
    assert found.claim.startswith(f"{winner} behind a real server (1 connections)")
    assert 0 < found.figures["predicted_qps"] < found.figures["inside_qps"]
    assert found.figures["server_ms"] > 0 < found.figures["client_ms"]
    assert "; the SLA at 0.9 times that: " in found.measured
    assert found.measured.endswith("which the page says")


@pytest.mark.engines
@pytest.mark.slow
def test_kserve_answers_what_the_plugin_does(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    asking.let_children_find_us()
    model = tiny_prepared.variants["base"]["onnx"]
    artifact = Artifact(model, "fp32", tiny_prepared.inputs, tiny_prepared.outputs)
    entry = Entry(Candidate("onnxruntime", "fp32", Setting("1x1")), "bakeoff_backends.onnx_runtime:OnnxRuntime")
    cpus, request = [min(os.sched_getaffinity(0))], tiny_prepared.requests().get(0)
    with serving.kserve(entry, artifact, cpus, tmp_path) as server:
        endpoint = create(configured("bakeoff_backends.endpoint:Endpoint", {**server, "connections": [1]}))
        served_model = Model({"onnx": model}, tiny_prepared.inputs, tiny_prepared.outputs, (request,))
        there = endpoint.load(
            endpoint.build(served_model, "fp32", Setting("c1"), "cpu", tmp_path), Setting("c1"), "cpu"
        )
        answer = there.infer(request)
        there.close()
    expected = create(entry.target).load(artifact, Setting("1x1"), "cpu").infer(request)
    np.testing.assert_array_equal(answer["score"], expected["score"])


PROVED = Proof("a claim", "at most 1", "2", held=False)


def test_the_table_says_how_it_was_asked_and_the_status_what_was_missed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(decisions, "decision", lambda name: lambda asked: PROVED)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- decisions -->\n<!-- /decisions -->\nafter\n")
    words = ["--store", str(tmp_path), "--into", str(page)]
    assert decisions.main([*words, "--only", "race", "--seeds", "2", "--variants", "lowrank:16"]) == 1
    assert decisions.main([*words, "--only", "hours", "--every", "30m"]) == 1
    race_row = "| a claim | at most 1 | 2 | **no** | `python tests/benchmarks/decisions.py --only race --variants"
    assert f"{race_row} lowrank:16 --seeds 2` |" in page.read_text()
    assert page.read_text().index("--only race") < page.read_text().index("--only hours` |")
    assert decisions.main([*words, "--only", "race"]) == 1
    assert page.read_text().count("--only race") == 1
    with pytest.raises(SystemExit):
        decisions.main(["--budget", "soon"])
    assert "--budget soon" in capsys.readouterr().err


@pytest.mark.parametrize("name", decisions.DECISIONS)
def test_every_decision_can_be_found(name):
    assert decisions.decision(name).__doc__
