"""One engine through a whole trial, in its parts: which blocks are taken, and when."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bakeoff.backends import Batching, Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import artifacts, capacities, fleet, trial, turns
from bakeoff.contest.budget import Budget
from bakeoff.contest.contest import hold
from bakeoff.contest.fleet import Fleet
from bakeoff.contest.load import LEGS, ClosedLoop, load_for
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Silent
from bakeoff.contest.trial import Trial
from bakeoff.decide import noise
from bakeoff.decide.noise import FULL_PIPE, STOLEN
from bakeoff.decide.quality import evaluate
from bakeoff.decide.race import Standing
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import StageFailed
from bakeoff.scenario import from_dict
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND
from bakeoff.store.store import Store

ENTRY = Entry(Candidate("onnxruntime", "fp32", Setting("1x1")), "bakeoff_backends.onnx_runtime:OnnxRuntime", "threads")


@pytest.fixture
def held(tiny_prepared, tmp_path, monkeypatch):
    """The candidate's record after a run in which the generator was late for `cause`."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))

    def run(cause):
        monkeypatch.setattr(noise, "disturbed", lambda *_: cause)
        traffic = {"kind": "server", "qps": 100, "duration": "500ms", "batch_size": 4}
        scenario = from_dict(
            {"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s", "error_rate": "50%"}}
            | {"resources": {"cpus": 1}}
        )
        with Store.open(tmp_path / "runs.db") as store:
            run = hold([Question(scenario, tiny_prepared, (ENTRY,))], store, logs=tmp_path)
            (candidate,) = store.load(run).scenarios[0].candidates
            return candidate, [(entry.round, entry.position) for entry in candidate.blocks]

    return run


def planned(places):
    return {place for place in places if place[0] > SCREEN_ROUND and place[1] < turns.AGAIN}


@pytest.mark.slow
def test_an_artifact_is_built_once_and_told_of(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    place, told = artifacts.folder(tiny_prepared, ENTRY, "", ""), []
    asked = (tiny_prepared, ENTRY, place, tmp_path / "log", artifacts.BUILD_LIMIT_S, told.append)
    assert artifacts.made(*asked) == artifacts.made(*asked) == artifacts.kept(place)
    assert told == ["building onnxruntime/fp32/1x1"]


@pytest.mark.engines
@pytest.mark.slow
def test_each_block_of_a_round_that_was_disturbed_is_measured_again(held):
    _, places = held(STOLEN)
    again = {place for place in places if place[0] > SCREEN_ROUND and place[1] < turns.SPRINT} - planned(places)
    assert again == {(number, position + turns.AGAIN) for number, position in planned(places)}
    assert len(again) >= trial.FEWEST_ROUNDS


@pytest.mark.engines
@pytest.mark.slow
def test_nothing_is_measured_again_where_the_engine_itself_is_behind_and_its_capacity_is_bracketed_after(held):
    candidate, places = held(FULL_PIPE)
    sprints = {(number, position + turns.SPRINT) for number, position in planned(places)}
    assert {place for place in places if place[0] > SCREEN_ROUND} == planned(places) | sprints
    assert candidate.row("capacity").outcome == "ok"
    tried = {entry.block.offered_qps for entry in candidate.blocks if entry.round == CAPACITY_ROUND}
    assert tried
    assert 100 not in tried


def test_one_that_wants_more_load_has_more_blocks_in_a_round_and_no_more_sprints():
    measured, relayed = [], []

    class Loaded(dict):
        waiting = ()

    class OneHost:
        @contextmanager
        def loaded(self, names):
            yield Loaded.fromkeys(names)

        def measure(self, engines, name, load, number, position):
            measured.append((name, position))

        def relay(self, engines, sprints, number, position):
            relayed.append((set(sprints), position))

    scenario = from_dict({"workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": 100}, "sla": {"p99": "20ms"}})
    names = {name: Entry(Candidate(name, "fp32", Setting("1x1")), "", "threads") for name in ("one", "other")}
    question = SimpleNamespace(scenario=scenario, entries=names.values())
    loads = {entry.candidate.id: load_for(scenario, 1.0) for entry in names.values()}
    wants, other = loads
    turns.Turns(question, OneHost(), SimpleNamespace(), Budget(None)).round(1, loads, {wants: 4, other: 2})
    assert sorted(measured) == [*((wants, position) for position in range(4)), (other, 0), (other, 1)]
    assert relayed == [(set(loads), turns.SPRINT), (set(loads), turns.SPRINT + 1)]


def test_sprints_are_run_in_legs_by_turns_and_who_fails_drops_out(tmp_path):
    legs, written, failed = [], [], []

    class Runner:
        loaded = SimpleNamespace(details={"service_ns": 1})
        lanes = 1

        def __init__(self, name, falls_at=99):
            self.name, self.falls_at = name, falls_at

        def closed(self, seconds, seed, **_):
            legs.append((self.name, seconds, seed))
            if [name for name, *_ in legs].count(self.name) == self.falls_at:
                raise StageFailed("serve", "crashed", "fell")
            three = np.arange(3)
            facts = {"lanes": 1, "cpus": 1, "busy_threads": 1}
            return Block("closed", None, three, three, three, three, three, three + 1, 9, 9, facts)

        def close(self):
            legs.append((self.name, "closed"))

    notebook = SimpleNamespace(
        block=lambda *words: written.append(words), failed=lambda name, failure: failed.append((name, failure.outcome))
    )
    question = SimpleNamespace(scenario=SimpleNamespace(name="tried", seed=1))
    engines = fleet.Engines(one=Runner("one"), two=Runner("two"), falls=Runner("falls", falls_at=2))
    held = Fleet(question, {}, notebook, tmp_path, Budget(None), Silent())
    held.relay(engines, dict.fromkeys(engines, ClosedLoop(1.0)), 3, 64)
    assert [each[0] for each in legs[:7]] == ["one", "two", "falls", "falls", "falls", "two", "one"]
    assert legs[4] == ("falls", "closed")
    assert [leg[1:] for leg in legs if leg[0] == "one"] == [leg[1:] for leg in legs if leg[0] == "two"]
    assert sum(leg[1] for leg in legs if leg[0] == "one") == pytest.approx(1.0)
    assert len({leg[2] for leg in legs if leg[0] == "one"}) == LEGS, "each leg walks the pool in another order"
    assert failed == [("falls", "crashed")]
    assert [words[:3] for words in written] == [("one", 3, 64), ("two", 3, 64)]
    assert [len(words[3]) for words in written] == [3 * LEGS] * 2


LOSSY = "int8-dynamic"


@pytest.fixture
def made_ready(tiny_prepared, tmp_path, monkeypatch):
    """A trial of fp32 and int8, alone and behind batchers, whose artifacts are built and judged; and the record."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    alone = Setting("1x1")
    settings = [alone, *(alone.batched(batching) for batching in (Batching(350, 1.0), Batching(350, 2.5)))]
    candidates = [Candidate("onnxruntime", precision, each) for precision in ("fp32", LOSSY) for each in settings]
    entries = tuple(Entry(candidate, ENTRY.target, "threads", build_key="one") for candidate in candidates)
    traffic = {"kind": "server", "qps": 100, "duration": "500ms", "batch_size": 4}
    scenario = from_dict(
        {"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s"}, "quality": {"auc": 0.5}}
    )
    with Store.open(tmp_path / "runs.db") as store:
        run = store.begin("bakeoff prepare", {}, {})
        store.add_scenario(run, "tried", scenario.definition(), {})
        for candidate in candidates:
            store.add_candidate(run, "tried", candidate, {})
        held = trial.Trial(Question(scenario, tiny_prepared, entries), store, run, tmp_path, Budget(None), Silent())
        held.make_ready()
        yield held, store.load(run).scenarios[0]


@pytest.mark.slow
def test_what_a_lossy_candidate_loses_behind_a_batcher_is_judged_in_joined_calls(made_ready, tiny_prepared):
    held, record = made_ready
    assert {each.row("quality").outcome for each in record.candidates} == {"ok"}
    places = {name.split("/")[1]: place for name, place in held.places.items()}
    files = {precision: {path.name for path in place.glob("*.npy")} for precision, place in places.items()}
    assert files == {"fp32": {"scores.npy"}, LOSSY: {"scores.npy", "scores+b350.npy"}}
    alone, joined = (np.load(places[LOSSY] / name) for name in ("scores.npy", "scores+b350.npy"))
    assert not np.array_equal(alone, joined), "each call has a scale of its own"
    by_name = {each.candidate.setting.name: each for each in record.candidates if each.candidate.lossy}
    for name, scores in (("1x1", alone), ("1x1+b350-1ms", joined), ("1x1+b350-2.5ms", joined)):
        assert by_name[name].quality == evaluate(tiny_prepared.holdout(), scores, tiny_prepared.metrics)
    assert by_name["1x1"].quality != by_name["1x1+b350-1ms"].quality
    deployed = {row.facts["artifact_bytes"] for each in by_name.values() if (row := each.row("build"))}
    assert deployed == {artifacts.size_facts(places[LOSSY])["artifact_bytes"]}, "the scores are no part of it"


def test_who_lost_to_one_that_fails_later_is_a_contender_again(monkeypatch):
    """What serves today is left, and so is one that may be cheaper."""
    failed, lost = set[str](), dict[str, str]()

    def standing(*_):
        alive = [name for name in ("quick", "second", "today") if name not in failed | lost.keys()]
        dropped = {"second": "35 % dearer than quick"} if {"quick", "second"} <= {*alive} else {}
        to = dict.fromkeys(dropped, "quick")
        return Standing(tuple(name for name in alive if name not in dropped), dropped, lost_to=to)

    def readmitted(_):
        back = [name for name, other in lost.items() if other in failed]
        return [lost.pop(name) for name in back]

    monkeypatch.setattr(trial, "contenders", standing)
    notebook = SimpleNamespace(
        record=lambda: None, eliminated=lambda _, lost_to: lost.update(lost_to), readmitted=readmitted
    )
    held = Trial.__new__(Trial)
    held.notebook, held.limit, held.scenario = notebook, 3, SimpleNamespace(exhaustive=False)
    assert held._contenders() == ["quick", "today"]
    failed.add("quick")
    assert held._contenders() == ["second", "today"]


def test_who_lost_by_luck_is_a_contender_again(monkeypatch):
    looks = [Standing(("lucky",), back={"near": "luck"}), Standing(("lucky", "near"))]
    monkeypatch.setattr(trial, "contenders", lambda *_: looks.pop(0))
    held = Trial.__new__(Trial)
    held.notebook = SimpleNamespace(record=lambda: None, eliminated=lambda *_: None, readmitted=list)
    held.limit, held.scenario = 3, SimpleNamespace(exhaustive=False)
    assert held._contenders() == ["lucky", "near"]


def test_engines_that_are_known_not_to_fit_together_are_not_started_together():
    started = SimpleNamespace(loaded=SimpleNamespace(memory_bytes=400, details={}))
    held = Fleet.__new__(Fleet)
    held._sizes = {"large": (700, 0), "small": (100, 0), "on the GPU": (10, 900)}
    room = (1000.0, 800.0)
    assert held._fitting(["small", "large", "new"], {}, room) == ["small", "large"]
    assert held._fitting(["large", "large"], {}, room) == ["large"], "the second would not fit"
    assert held._fitting(["large"], {"loaded": started}, room) == []
    assert held._fitting(["small", "new"], {"loaded": started}, room) == ["small", "new"], "nobody knows its size yet"
    assert held._fitting(["on the GPU"], {"loaded": started}, room) == []
    assert held._fitting(["on the GPU"], {}, room) == ["on the GPU"], "one has to be tried"


@pytest.mark.engines
@pytest.mark.slow
def test_those_that_the_memory_does_not_hold_together_take_turns(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fleet, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(trial, "MOST_ROUNDS", trial.FEWEST_ROUNDS + 1)
    monkeypatch.setattr(capacities, "MOST_BLOCKS", 8)
    settings = [Setting("1x1"), *(Setting("1x1").batched(Batching(350, wait)) for wait in (1.0, 2.0))]
    entries = tuple(Entry(Candidate("onnxruntime", "fp32", each), ENTRY.target, "threads") for each in settings)
    together, measure = list[tuple[str, ...]](), Fleet.measure

    def watched(its, engines, *words):
        together.append(tuple(engines))
        return measure(its, engines, *words)

    monkeypatch.setattr(Fleet, "measure", watched)
    traffic = {"kind": "server", "qps": 100, "duration": "200ms", "batch_size": 4}
    asked = {"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s"}, "exhaustive": True}
    with Store.open(tmp_path / "runs.db") as store:
        run = hold([Question(from_dict(asked), tiny_prepared, entries)], store, logs=tmp_path)
        candidates = store.load(run).scenarios[0].candidates
    assert {len(group) for group in together} == {1}
    assert len({group for group in together if len(group) == 1}) > 1, "drawn anew each round"
    for each in candidates:
        rounds = {block.round for block in each.blocks}
        assert rounds == {SCREEN_ROUND, CAPACITY_ROUND, *range(1, trial.MOST_ROUNDS + 1)}
        assert {row.outcome for row in each.ledger} == {"ok"}, "nobody is left out"


@pytest.mark.engines
@pytest.mark.slow
def test_a_run_that_goes_on_plays_rounds_of_its_own(tiny_prepared, tmp_path, monkeypatch):
    """What one round measures is compared as of one time: who comes later has no part in earlier rounds."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "MOST_ROUNDS", 1)
    batched = replace(ENTRY.candidate, setting=ENTRY.candidate.setting.batched(Batching(350, 1.0)))
    both = (ENTRY, replace(ENTRY, candidate=batched))
    traffic = {"kind": "server", "qps": 100, "duration": "200ms", "batch_size": 4}
    scenario = from_dict(
        {"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s"}, "exhaustive": True}
    )
    with Store.open(tmp_path / "runs.db") as store:
        run = store.begin("bakeoff run", {}, {})
        store.add_scenario(run, "tried", scenario.definition(), {})
        for entry in both:
            store.add_candidate(run, "tried", entry.candidate, {})
        for entries in (both[:1], both):
            asked = Question(scenario, tiny_prepared, entries)
            trial.Trial(asked, store, run, tmp_path, Budget(None), Silent()).hold()
        early, late = store.load(run).scenarios[0].candidates
    assert {block.round for block in early.blocks} == {SCREEN_ROUND, 1, 2}
    assert {block.round for block in late.blocks} == {SCREEN_ROUND, 2}


@pytest.mark.slow
def test_a_start_that_the_budget_was_too_short_for_is_tried_again(tiny_prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fleet, "LEAST_START_S", 0.01)
    traffic = {"kind": "server", "qps": 100, "duration": "200ms", "batch_size": 4}
    scenario = from_dict({"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s"}})
    with Store.open(tmp_path / "runs.db") as store:
        run = store.begin("bakeoff run", {}, {})
        store.add_scenario(run, "tried", scenario.definition(), {})
        store.add_candidate(run, "tried", ENTRY.candidate, {})
        for share, outcome in ((0.0, "over-budget"), (0.25, "ok")):
            monkeypatch.setattr(fleet, "START_SHARE", share)
            asked = Question(scenario, tiny_prepared, (ENTRY,))
            trial.Trial(asked, store, run, tmp_path, Budget(60.0), Silent()).make_ready()
            (candidate,) = store.load(run).scenarios[0].candidates
            assert candidate.row("load").outcome == outcome
