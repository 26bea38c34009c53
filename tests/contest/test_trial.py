"""One engine through a whole trial, in its parts: which blocks are taken, and when."""

import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import trial
from bakeoff.contest.contest import hold
from bakeoff.contest.plan import Entry, Question
from bakeoff.decide.noise import FULL_PIPE, STOLEN
from bakeoff.scenario import from_dict
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND
from bakeoff.store.store import Store

ENTRY = Entry(Candidate("onnxruntime", "fp32", Setting("1x1")), "bakeoff_backends.onnx_runtime:OnnxRuntime", "threads")


@pytest.fixture
def held(tiny_prepared, tmp_path, monkeypatch):
    """The candidate's record after a run at a rate, in which the generator was late for `cause`."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))

    def run(cause, qps=100, budget_s=22.0):
        monkeypatch.setattr(trial, "disturbed", lambda *_: cause)
        traffic = {"kind": "server", "qps": qps, "duration": "500ms", "batch_size": 4}
        scenario = from_dict(
            {"name": "tried", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p50": "1s", "error_rate": "50%"}}
            | {"resources": {"cpus": 1}}
        )
        with Store.open(tmp_path / "runs.db") as store:
            run = hold([Question(scenario, tiny_prepared, (ENTRY,))], store, budget_s=budget_s, logs=tmp_path)
            (candidate,) = store.load(run).scenarios[0].candidates
            return candidate, [(entry.round, entry.position) for entry in candidate.blocks]

    return run


def planned(places):
    return {place for place in places if place[0] > SCREEN_ROUND and place[1] < trial.MOST_BLOCKS_A_ROUND}


@pytest.mark.slow
def test_each_block_of_a_round_that_was_disturbed_is_measured_again(held):
    _, places = held(STOLEN)
    again = {place for place in places if place[0] > SCREEN_ROUND} - planned(places)
    assert again == {(number, position + trial.MOST_BLOCKS_A_ROUND) for number, position in planned(places)}
    assert len(again) >= trial.FEWEST_ROUNDS


@pytest.mark.slow
def test_nothing_is_measured_again_where_the_engine_itself_is_behind_and_its_capacity_is_bracketed_after(held):
    candidate, places = held(FULL_PIPE)
    assert {place for place in places if place[0] > SCREEN_ROUND} == planned(places)
    assert candidate.row("capacity").outcome == "ok"
    tried = {entry.block.offered_qps for entry in candidate.blocks if entry.round == CAPACITY_ROUND}
    assert tried
    assert 100 not in tried


@pytest.mark.slow
def test_where_capacity_is_the_question_the_rounds_are_played_at_rates_that_were_found(held):
    candidate, _ = held("", qps="max")
    by_round = {entry.round: entry.block for entry in candidate.blocks}
    assert by_round[SCREEN_ROUND].kind == "closed"
    found = {entry.block.offered_qps for entry in candidate.blocks if entry.round == CAPACITY_ROUND}
    played = {entry.block.offered_qps for entry in candidate.blocks if entry.round > SCREEN_ROUND}
    assert played
    assert min(played) >= min(found) / 1.2
