"""A run handed over: its verdict holds for whoever checks it, nothing changed passes, and nothing private is in it."""

import io
import json
import platform
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bakeoff.cli import app
from bakeoff.decide.bundles.bundling import bundled, check
from bakeoff.decide.bundles.claims import claims, difference
from bakeoff.decide.verdict import verdicts
from bakeoff.errors import UserError
from bakeoff.store import bundle
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

ENGINES = ("torch", "onnxruntime", "onnx", "openvino", "tensorflow", "jax", "tvm", "bakeoff_backends")
WITHOUT_ENGINES = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ENGINES}:
            raise ImportError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Refuse())
from bakeoff.cli import main
main()
"""


@pytest.fixture
def record(scenario, engine, run):
    """A run in which one engine wins, one is dearer and one too slow."""
    field = {"slow": engine(3.0, rounds=3), "quick": engine(2.0, rounds=3), "late": engine(9.0, rounds=2)}
    return run(scenario(field))


@pytest.fixture
def written(tmp_path):
    """Writes a bundle's bytes, and gives the path."""

    def write(data):
        path = tmp_path / "run.zip"
        path.write_bytes(data)
        return path

    return write


def test_a_bundle_holds_the_verdict_and_all_it_rests_on(record, written):
    path = written(bundled(record))
    found = check(path)
    assert found.problem == ""
    assert found.verdicts == verdicts(record)
    assert found.verdicts[0].verdict == "WIN"
    claimed = bundle.read(path).manifest.claims["ctr-ranking"]
    assert claimed["choice"] == "quick/fp32/1x1"
    assert claimed["candidates"]["slow/fp32/1x1"]["cost"] > claimed["candidates"]["quick/fp32/1x1"]["cost"]
    assert bundled(record) == path.read_bytes(), "always the same bytes"


def test_its_stamps_are_a_table_that_anybody_can_read(record):
    import pandas as pd

    with zipfile.ZipFile(io.BytesIO(bundled(record))) as archive:
        stamps = pd.read_parquet(io.BytesIO(archive.read("stamps.parquet")))
    quick = record.scenarios[0].candidates[1].blocks[2].block
    mine = stamps[(stamps.candidate == "quick/fp32/1x1") & (stamps["round"] == 2)]
    assert (mine.done_ns - mine.scheduled_ns).tolist() == (quick.done_ns - quick.scheduled_ns).tolist()
    assert stamps.done_ns.dtype == np.int64


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 799)),
    column=st.sampled_from(["items", "scheduled_ns", "sent_ns", "started_ns", "done_ns"]),
    by=st.sampled_from([-1, 1, 1_000]),
)
def test_one_changed_sample_fails_even_with_its_hash_made_right(record, written, which, column, by):
    candidate, entry, request = which
    sealed = members_and_claims(record)
    shipped = bundle.record_of(sealed[0], "x")
    one = shipped.scenarios[0].candidates[candidate]
    stamps = getattr(one.blocks[entry].block, column).copy()
    stamps[request] += by
    block = replace(one.blocks[entry].block, **{column: stamps})
    found = check(written(resealed(with_block(shipped, candidate, entry, block), sealed[1])))
    assert found.problem.startswith(f"ctr-ranking: {one.id}: "), "whose figure, is told"
    assert re.search(r": \S+ is claimed, the stamps give \S+$", found.problem)
    assert found.verdicts[0].verdict == "WIN", "the verdict's name alone would not tell"


def without(told, name):
    return {each: value for each, value in told.items() if each != name}


def test_a_changed_claim_or_record_fails(record, written):
    members, told = members_and_claims(record)
    scenario = told["ctr-ranking"]
    quick = scenario["candidates"]["quick/fp32/1x1"]
    without_sums = scenario["candidates"] | {"quick/fp32/1x1": without(quick, "sums")}
    for changed, said in [
        ({**scenario, "verdict": "TIE"}, "ctr-ranking: verdict: TIE is claimed, the stamps give WIN"),
        ({**scenario, "set": []}, "ctr-ranking: set: a list of 0 is claimed, the stamps give a list of 1"),
        ({**scenario, "candidates": {"quick/fp32/1x1": quick}}, "ctr-ranking: late/fp32/1x1: is not claimed"),
        ({**scenario, "candidates": without_sums}, "ctr-ranking: quick/fp32/1x1: sums: is not claimed"),
        (without(scenario, "regret_high"), "ctr-ranking: regret_high: is not claimed"),
        (without(scenario, "answer"), "ctr-ranking: answer: is not claimed"),
        ({**scenario, "candidates": 5}, "ctr-ranking: 5 is claimed, the stamps give a list of 3"),
        ({**scenario, "prize": 1}, "ctr-ranking: prize: 1 is claimed, and the stamps give no such thing"),
    ]:
        path = written(bundle.zipped(members, record.run, {"ctr-ranking": changed}, with_host=False))
        assert check(path).problem.startswith(said)
    assert check(written(bundle.zipped(members, "other", told, False))).problem.startswith("run other is claimed")
    cheaper = members["scenarios.json"].replace(b'"amount": 0.0416', b'"amount": 0.0408')
    found = check(written(bundle.zipped(members | {"scenarios.json": cheaper}, record.run, told, False)))
    assert "cost" in found.problem


def test_a_bundle_of_another_version_says_so_where_it_fails(record, written, monkeypatch):
    members, told = members_and_claims(record)
    monkeypatch.setattr(bundle, "version", lambda _: "0.0.1")
    older = without(told["ctr-ranking"], "margin")
    assert check(written(bundle.zipped(members, record.run, {"ctr-ranking": older}, False))).problem == "", (
        "not claimed"
    )
    path = written(bundle.zipped(members, record.run, {"ctr-ranking": told["ctr-ranking"] | {"margin": 9.0}}, False))
    assert "; bakeoff 0.0.1 made it, and this is " in check(path).problem


def test_figures_may_differ_in_their_last_digits_and_no_more(record):
    found = claims(record, verdicts(record))
    quick = found["ctr-ranking"]["candidates"]["quick/fp32/1x1"]
    nearly = json.loads(json.dumps(found))
    nearly["ctr-ranking"]["candidates"]["quick/fp32/1x1"]["cost"] = quick["cost"] * (1 + 1e-12)
    assert difference(nearly, found) == ""
    nearly["ctr-ranking"]["candidates"]["quick/fp32/1x1"]["cost"] = quick["cost"] * (1 + 1e-8)
    assert difference(nearly, found).startswith("ctr-ranking: quick/fp32/1x1: cost: ")


PRIVATE = re.compile(rb"ranker-07|shop\.example|joanna|Secret|(?<![\w./:-])/(?!PATH)[\w.~-]+/")


def private(record, store):
    """The run as one that tells of its machine in every text that can."""
    home = Path.home()
    texts = [f"{home}/Secret Models/a.onnx", str(store), f"cannot read '{home}/x y/a.onnx' on ranker-07 as joanna"]
    rows = tuple(
        LedgerRow("build", "ok", text, 1.0, f"bakeoff run {text}", record.started_at, {text: text}) for text in texts
    )
    (asked,) = record.scenarios
    definition = {
        **asked.definition,
        "source": f"{home}/Secret/ctr.yaml",
        "workload": f"{home}/Secret Models/a.onnx",
        "description": texts[2],
        "candidates": {
            **asked.definition["candidates"],
            "endpoints": {"ranker-07": {"url": "http://ranker-07.shop.example:8000/v2/x", "model": "ranker"}},
        },
    }
    candidates = tuple(replace(one, facts={"text": texts}, ledger=(*rows, *one.ledger)) for one in asked.candidates)
    server = replace(candidates[0], candidate=replace(candidates[0].candidate, backend="endpoint@ranker-07"))
    scenario = replace(asked, definition=definition, candidates=(server, *candidates[1:]), ledger=rows)
    return replace(
        record, command=texts[2], host={"text": texts}, environment={"text": texts[0]}, scenarios=(scenario,)
    )


@pytest.fixture
def on_a_machine(monkeypatch, tmp_path):
    """At ranker-07.shop.example, as joanna, whose home is in the temporary folder."""
    monkeypatch.setattr(platform, "node", lambda: "ranker-07.shop.example")
    monkeypatch.setenv("LOGNAME", "joanna")
    monkeypatch.setenv("HOME", str(tmp_path / "joanna"))
    return tmp_path


def unpacked(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return b"\n".join(archive.read(name) for name in archive.namelist())


def test_nothing_names_the_machine_or_its_owner_unless_asked(record, written, on_a_machine):
    telling = private(record, on_a_machine / "store.db")
    hidden, shown = unpacked(bundled(telling)), unpacked(bundled(telling, with_host=True))
    assert PRIVATE.search(shown), "the search can find something"
    assert not PRIVATE.search(hidden[: hidden.index(b"PAR1")]), "packed stamps may look like anything"
    for name in (str(on_a_machine), str(Path.home()), "ranker-07", "joanna", str(on_a_machine / "store.db")):
        assert name.encode() in shown
        assert name.encode() not in hidden
    for told in (False, True):
        found = check(written(bundled(telling, told)))
        assert found.problem == ""
        assert found.verdicts[0].choice.candidate == "quick/fp32/1x1"
    assert b"endpoint@HOST" in hidden, "the names that belong together still do"


def test_a_machine_called_like_what_the_verdict_needs_is_told_of(record, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "server")
    with pytest.raises(UserError, match="--with-host"):
        bundled(record)
    assert bundled(record, with_host=True)


def test_the_verbs_work_without_any_engine(record, tmp_path):
    (asked,) = record.scenarios
    place = tmp_path / "store.db"
    with Store.open(place) as store:
        run = store.begin("bakeoff run", {"cpus": 2}, {"python": "3.11"})
        store.add_scenario(run, asked.name, asked.definition, asked.workload)
        for one in asked.candidates:
            store.add_candidate(run, asked.name, one.candidate)
            for entry in one.blocks:
                store.add_block(run, asked.name, one.id, entry.round, entry.position, entry.block)
            for row in one.ledger:
                store.add_row(run, asked.name, one.id, row)
            store.add_quality(run, asked.name, one.id, one.quality)
        store.finish(run, "finished")
    assert without_engines("bundle", "--store", str(place), folder=tmp_path) == f"wrote {run}.zip\n"
    told = without_engines("verify", f"{run}.zip", folder=tmp_path)
    assert told.startswith("verified: ctr-ranking: WIN: Serve ctr-ranking with quick fp32 (1x1): ")
    assert f"run {run}, " in told


def test_a_bundle_that_does_not_hold_is_one_line_and_exit_1(record, written):
    members, told = members_and_claims(record)
    path = written(bundle.zipped(members, record.run, told, with_host=False))
    done = CliRunner().invoke(app, ["verify", str(path), "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["verified"], found["problem"]) == (0, True, None)
    assert found["scenarios"][0]["choice"] == "quick/fp32/1x1"
    told["ctr-ranking"]["choice"] = "slow/fp32/1x1"
    written(bundle.zipped(members, record.run, told, with_host=False))
    done = CliRunner().invoke(app, ["verify", str(path)])
    said = "NOT verified: ctr-ranking: choice: slow/fp32/1x1 is claimed, the stamps give quick/fp32/1x1\n"
    assert (done.exit_code, done.stdout) == (1, said)


def without_engines(*words, folder):
    command = [sys.executable, "-c", WITHOUT_ENGINES, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def members_and_claims(record):
    data = bundled(record)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in bundle.MEMBERS}
        return members, json.loads(archive.read(bundle.MANIFEST))["claims"]


def with_block(record, candidate, entry, block):
    """The run with one block in place of another."""
    (scenario,) = record.scenarios
    candidates = list(scenario.candidates)
    blocks = list(candidates[candidate].blocks)
    blocks[entry] = replace(blocks[entry], fetch=lambda: block)
    candidates[candidate] = replace(candidates[candidate], blocks=tuple(blocks))
    return replace(record, scenarios=(replace(scenario, candidates=tuple(candidates)),))


def resealed(record, claimed):
    """A bundle whose hashes are right, and whose claims are older than its stamps."""
    return bundle.zipped(bundle.members_of(record, str), record.run, claimed, with_host=False)
