"""What a run must agree in before it is taken up again: the host and the versions, by old records and new."""

from types import SimpleNamespace

import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import contest
from bakeoff.contest.contest import resume
from bakeoff.contest.plan import NOWHERE, Entry, Question
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import StageFailed
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


def begun(store, environment, here=True):
    facts = host.facts() if here else {"host": "0123456789ab"}
    run = store.begin("bakeoff run x.yaml", facts, environment)
    store.add_scenario(run, "ctr", {"nonsense": True})
    return run


def refusal(store, run, tmp_path):
    with pytest.raises(UserError) as refused:
        resume(run, store, logs=tmp_path)
    return str(refused.value)


def test_another_host_is_refused(store, tmp_path):
    run = begun(store, host.environment(), here=False)
    assert "was measured on another host; run it anew here: bakeoff run x.yaml" in refusal(store, run, tmp_path)


@pytest.mark.parametrize("flat", [False, True], ids=["now", "the first runs"])
def test_other_versions_are_refused_and_the_same_are_not(store, tmp_path, flat):
    packages = host.versions()
    same, other = packages, packages | {"numpy": "1.0"}
    whole = dict if flat else (lambda versions: host.environment() | {"packages": versions, "git_commit": "other"})
    assert "numpy has another version now" in refusal(store, begun(store, whole(other)), tmp_path)
    assert "nonsense" in refusal(store, begun(store, whole(same)), tmp_path), "it gets as far as the scenario"


def test_what_is_no_longer_offered_gets_its_row(store, tmp_path, monkeypatch):
    """Of four candidates one is still there, one has no backend any more, one left with its setting, one had failed."""
    torch, jax, basic, failed = (
        Candidate(backend, "fp32", Setting(name=setting), "base", "cpu")
        for backend, setting in (("torch", "1x1"), ("jax", "1x1"), ("torch", "basic"), ("torch", "bad"))
    )
    run = begun(store, host.environment())
    for each in (torch, jax, basic, failed):
        store.add_candidate(run, "ctr", each, {})
    store.add_row(run, "ctr", failed.id, LedgerRow("build", "failed", "as before"))
    nowhere = Candidate("jax", "fp32", Setting(name=NOWHERE), "base", "cpu")
    shared = Candidate("torch", "fp32", Setting(name=NOWHERE), "share", "cpu")
    entries = (
        Entry(torch, "x:Y"),
        Entry(shared, "x:Y", failure=StageFailed("compress", "unsupported", "nothing to share")),
        Entry(nowhere, "x:Y", failure=StageFailed("probe", "unavailable", "no jax here", "pip install jax")),
    )
    question = Question(SimpleNamespace(name="ctr"), SimpleNamespace(key=None), entries)
    monkeypatch.setattr(contest, "restore", lambda *_: SimpleNamespace(traffic=SimpleNamespace(trace=None)))
    monkeypatch.setattr(contest, "_question", lambda *_: question)
    monkeypatch.setattr(contest, "_play", lambda questions, *_: played.extend(questions))
    played = []
    resume(run, store, logs=tmp_path)
    assert [entry.candidate for entry in played[0].entries] == [torch]
    rows = {
        each.id: [(row.outcome, row.reason) for row in each.ledger] for each in store.load(run).scenarios[0].candidates
    }
    assert rows == {
        torch.id: [],
        jax.id: [("unavailable", "no jax here; pip install jax")],
        basic.id: [("unavailable", contest.GONE)],
        failed.id: [("failed", "as before")],
    }
