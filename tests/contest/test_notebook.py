"""What the ledger says of a quality, and when a resumed run or a verdict elsewhere may take it as it is."""

import json

import pytest
from typer.testing import CliRunner

from bakeoff import api, backends
from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.cli import app
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.reporter import Silent
from bakeoff.decide.race import contenders
from bakeoff.measure.engine_room import StageFailed
from bakeoff.scenario import from_dict
from bakeoff.store.record import Quality
from bakeoff.store.store import Store

FIGURES = (Quality("auc", 0.7, 0.7, 0.0, 0.0, 0.0, 100),)


@pytest.fixture
def pages(tmp_path):
    """Notebooks of one run at hosts with other CPU flags, which two candidates play."""
    traffic = {"kind": "offline", "batch_size": 4}
    scenario = from_dict({"workload": "ctr-dlrm", "traffic": traffic, "quality": {"auc": 0.002}})
    int8, fp32 = (Candidate("ort", precision, Setting("1x1")) for precision in ("int8-dynamic", "fp32"))
    with Store.open(tmp_path / "runs.db") as store:
        run = store.begin("bakeoff run", {}, {})
        store.add_scenario(run, scenario.name, scenario.definition(), {})
        for each in (int8, fp32):
            store.add_candidate(run, scenario.name, each, {})
        both = (int8.id, fp32.id)
        yield lambda flags, names=both: Notebook(scenario, names, store, run, Silent(), flags), *both


def test_what_was_not_found_here_returns_with_its_backend(pages):
    """Whatever is no matter of time or of the backend's being here stays as it was."""
    notebook, int8, fp32 = pages
    here = notebook(set())
    here.failed(int8, StageFailed("probe", "unavailable", "it timed out"))
    here.failed(fp32, StageFailed("build", "failed", "it cannot"))
    here.take_up_again([fp32])
    assert here.alive() == []
    here.take_up_again([int8, fp32])
    assert here.alive() == [int8]


def test_int8_records_the_features_it_was_judged_on(pages):
    notebook, int8, fp32 = pages
    here = notebook({"fpu", "avx2", "amx_int8"})
    assert not here.has_quality(int8)
    for name in (int8, fp32):
        here.quality(name, FIGURES, 0.1)
    assert here.candidate(int8).row("quality").facts == {"cpu_features": "avx2 amx_int8"}
    assert here.candidate(fp32).row("quality").facts == {}
    assert here.has_quality(int8)


def test_a_run_that_goes_on_with_other_features_judges_int8_anew(pages):
    notebook, int8, fp32 = pages
    for name in (int8, fp32):
        notebook({"avx2", "amx_int8"}).quality(name, FIGURES, 0.1)
    there = notebook({"avx2"})
    assert (there.has_quality(int8), there.has_quality(fp32)) == (False, True)
    there.quality(int8, FIGURES, 0.1)
    assert there.has_quality(int8)


def test_a_verdict_elsewhere_refuses_what_it_was_not_judged_for(pages, tmp_path, monkeypatch):
    notebook, int8, _ = pages
    notebook({"avx2", "amx_int8"}).quality(int8, FIGURES, 0.1)
    refused = "its quality was judged with amx_int8, which this CPU lacks"

    def why(verdict):
        return next(one for one in verdict.candidates if one.candidate == int8).reason

    run = api.load(store=tmp_path / "runs.db")
    assert why(run.verdict({"avx2"})[0]).startswith(refused)
    assert why(run.verdict({"avx2", "avx_vnni"})[0]) == "it was not measured"
    monkeypatch.setattr(backends, "cpu_flags", lambda: frozenset({"avx2"}))
    shown = CliRunner().invoke(app, ["verdict", "latest", "--json", "--store", str(tmp_path / "runs.db")])
    (scenario,) = json.loads(shown.stdout)["scenarios"]
    assert next(one["reason"] for one in scenario["candidates"] if one["candidate"] == int8).startswith(refused)


CRASHED = StageFailed("serve", "crashed", "it crashed")


def let_in(here):
    return here.readmitted(contenders(here.record()).back)


def test_who_lost_comes_back_when_that_one_drops_out_and_not_before(pages):
    notebook, int8, fp32 = pages
    here = notebook({"avx2"})
    here.eliminated({int8: f"dearer than {fp32}"}, {int8: fp32})
    assert let_in(here) == []
    here.failed(fp32, CRASHED)
    assert let_in(here) == [int8]
    row = here.candidate(int8).ledger[-1]
    assert (row.stage, row.outcome, row.reason) == ("race", "ok", f"{fp32}, to which it lost, dropped out")
    assert let_in(here) == [], "it is back"


def test_who_lost_by_luck_comes_back_with_the_reason(pages):
    notebook, int8, fp32 = pages
    here = notebook({"avx2"})
    here.eliminated({int8: f"dearer than {fp32}"}, {int8: fp32})
    assert here.readmitted({int8: "it was luck"}) == [int8]
    assert here.candidate(int8).ledger[-1].reason == "it was luck"


def test_who_missed_a_gate_does_not_come_back(pages):
    notebook, int8, fp32 = pages
    here = notebook({"avx2"})
    here.eliminated({int8: "generated inputs cannot judge it"}, {})
    here.failed(fp32, CRASHED)
    assert let_in(here) == []


def test_who_lost_to_one_that_itself_lost_stays_out_until_that_one_is_back_and_fails(pages):
    notebook, int8, fp32 = pages
    here = notebook({"avx2"})
    here.eliminated({int8: f"dearer than {fp32}"}, {int8: fp32})
    here.eliminated({fp32: "dearer than a third"}, {fp32: int8})
    assert let_in(here) == []


def test_who_lost_and_is_not_offered_any_more_stays_out(pages):
    notebook, int8, fp32 = pages
    notebook(set()).eliminated({int8: "dearer"}, {int8: fp32})
    here = notebook(set(), [fp32])
    here.failed(fp32, CRASHED)
    assert let_in(here) == []
