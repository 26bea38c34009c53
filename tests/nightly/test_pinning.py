"""`bakeoff pin` and what the check gets from it: real onnxruntime artifacts, kept, found and run again."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bakeoff.backends import Setting, registered
from bakeoff.candidates import Candidate
from bakeoff.cli import main
from bakeoff.contest import contest
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import HERE, Engine, StageFailed
from bakeoff.nightly import baseline, lock, objects, pin_files, pinning
from bakeoff.nightly.lock import Lock
from bakeoff.scenario import load_scenario
from bakeoff.store.record import LedgerRow, Quality
from bakeoff.store.store import Store
from bakeoff.workloads.pool import beyond_caches_bytes
from bakeoff.workloads.prepared import Refusal

ID = "onnxruntime/fp32/1x1"
ASKED = """
name: {name}
workload: ctr-dlrm
traffic: {{kind: single_stream}}
quality: {{auc: 0.002}}
resources: {{cpus: 1}}
candidates: {{backends: [onnxruntime], precisions: [fp32]}}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch, tiny_prepared):
    """A project with two scenarios of the tiny workload, a cache of its own, and the current folder in it."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    prepared = tmp_path / "cache" / "prepared" / "tiny"
    shutil.copytree(tiny_prepared.folder, prepared)
    monkeypatch.setattr(contest, "prepare", lambda *_, **__: type(tiny_prepared).read(prepared))
    project = tmp_path / "project"
    (project / "scenarios").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    for name in ("shop", "other"):
        (project / "scenarios" / f"{name}.yaml").write_text(ASKED.format(name=name))
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def bakeoff(shop, monkeypatch, capsys):
    """The command line: what it prints, and its complaint where it ends badly."""

    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["bakeoff", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told
        return told.err if code else told.out

    return run


def pin_shop(bakeoff, reason="the first"):
    bakeoff("pin", "scenarios/shop.yaml", "--candidate", ID, "--reason", reason)
    return pin_files.read(Path("results/baseline/shop.json"))


@pytest.mark.engines
@pytest.mark.slow
def test_a_named_candidate_is_built_scored_kept_and_pinned(bakeoff, shop):
    told = bakeoff("pin", "scenarios/shop.yaml", "--candidate", ID, "--reason", "the first")
    pin = pin_files.read(shop / "results" / "baseline" / "shop.json")
    (candidate,) = pin.candidates
    assert f"shop: pinned ({pin.digest}) in results/baseline/shop.json" in told
    assert f"{ID}: pinned for the first time, {candidate.version}" in told
    assert candidate.quality.keys() == {"auc", "logloss", "ndcg@10"}
    assert 0.5 < candidate.quality["auc"] < 1
    assert candidate.artifact.bytes > 0
    assert candidate.model == pin.workload.model
    assert pin.workload.pool_bytes == beyond_caches_bytes()
    assert candidate.lock == lock.installed(registered()["onnxruntime"]).lock
    assert pin.scenario["source"] == "project:scenarios/shop.yaml"
    assert str(shop) not in pin_files.text(pin)
    assert pin.reason == "the first"


@pytest.mark.engines
@pytest.mark.slow
def test_the_baseline_runs_after_what_it_was_made_from_is_gone(bakeoff, shop, tmp_path):
    pin = pin_shop(bakeoff)
    for name in ("artifacts", "prepared"):
        shutil.rmtree(tmp_path / "cache" / name)
    side = baseline.pinned(pin, pin.candidates[0])
    assert side.missing == ()
    assert side.differs == ()
    assert side.interpreter == HERE
    order = side.order(pin.asked(), tmp_path / "serve.log")
    assert order.artifact.path.is_relative_to(tmp_path / "cache" / "objects")
    with Engine.start(order, 60.0) as engine:
        block = engine.closed(0.2, limit=10)
        assert len(block.done_ns) == 10
        assert engine.loaded.details["verified"] > 0


@pytest.mark.engines
@pytest.mark.slow
def test_a_pinned_engine_of_another_version_serves_what_was_pinned(bakeoff, tmp_path):
    pin = pin_shop(bakeoff)
    (candidate,) = pin.candidates
    lines = candidate.lock.by_name() | {"onnxruntime": "onnxruntime==1.30.0"}
    older = Lock(python=candidate.lock.python, packages=tuple(sorted(lines.values())))
    side = baseline.pinned(pin, candidate.model_copy(update={"lock": older}))
    assert side.missing == ()
    assert [name for name, *_ in side.differs] == ["onnxruntime"]
    with Engine.start(side.order(pin.asked(), tmp_path / "serve.log"), 60.0) as engine:
        assert len(engine.closed(0.2, limit=10).done_ns) == 10


@pytest.mark.engines
@pytest.mark.slow
def test_a_candidate_in_an_environment_of_its_own_is_locked_as_it_is_there(bakeoff, shop, tmp_path):
    path = shop / "scenarios" / "shop.yaml"
    apart = "environments: {onnxruntime@1.30: {requirements: [onnxruntime==1.30.0]}}}"
    path.write_text(path.read_text().replace("precisions: [fp32]}", f"precisions: [fp32], {apart}"))
    bakeoff("pin", str(path), "--candidate", "onnxruntime@1.30/fp32/1x1", "--reason", "the older engine")
    (pin,) = pin_files.find(Path("results/baseline"))
    assert pin.candidates[0].lock.by_name()["onnxruntime"] == "onnxruntime==1.30.0"
    side = baseline.pinned(pin, pin.candidates[0])
    assert (side.missing, side.differs) == ((), ())
    assert side.interpreter != HERE
    with Engine.start(side.order(pin.asked(), tmp_path / "serve.log"), 60.0) as engine:
        assert len(engine.closed(0.2, limit=10).done_ns) == 10


CANNOT_RUN = """candidates:
  backends: [onnxruntime]
  environments: {onnxruntime@none: {requirements: [no-such-project==1.0]}}
  endpoints: {down: {url: "http://127.0.0.1:9", model: m, headers: {Authorization: "Bearer env:SHOP_TOKEN"}}}
incumbent: endpoint@down/fp32/8
"""


@pytest.fixture
def partly(shop, tiny_prepared, tmp_path, monkeypatch):
    """The shop's scenario with a refused variant, an environment that cannot be made and a server that is down."""
    path = shop / "scenarios" / "shop.yaml"
    path.write_text(path.read_text().partition("candidates:")[0] + "variants: [prune-2of4]\n" + CANNOT_RUN)
    found = type(tiny_prepared).read(tmp_path / "cache" / "prepared" / "tiny")
    refused = {"prune-2of4": Refusal("unsupported", "no layer of its kind")}
    monkeypatch.setattr(contest, "prepare", lambda *_, **__: replace(found, refused=refused))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")


@pytest.mark.engines
@pytest.mark.slow
def test_what_else_cannot_run_here_is_no_matter_and_not_kept(bakeoff, partly):
    text = pin_files.text(pin_shop(bakeoff))
    for told in ("no-such-project", "127.0.0.1", "SHOP_TOKEN", "s3cret", "endpoint@down"):
        assert told not in text


def test_a_wanted_candidate_that_cannot_run_here_is_one_line_that_says_why(bakeoff, partly, shop):
    for name, expected in {
        "onnxruntime@none/fp32/1x1": "cannot run here: its environment cannot be made: ",
        f"{ID}/prune-2of4": "cannot run here: no layer of its kind",
        "onnxruntime/fp32/1x9": "no such candidate; did you mean onnxruntime/fp32/1x1?",
    }.items():
        told = bakeoff("pin", "scenarios/shop.yaml", "--candidate", name, "--reason", "x", code=2)
        assert told.splitlines()[-1].startswith(f"bakeoff: --candidate {name}: {expected}")
    assert not (shop / "results").exists()


def test_of_what_techniques_made_the_pinned_variants_alone_are_kept(shop, tiny_prepared, tmp_path):
    prepared = type(tiny_prepared).read(tmp_path / "cache" / "prepared" / "tiny")
    for name in ("compressed/one", "compressed/two"):
        (prepared.folder / name).mkdir(parents=True)
        (prepared.folder / name / "model.onnx").write_bytes(name.encode())
        (prepared.folder / name / "variant.json").write_text('{"files": {"onnx": "model.onnx"}, "facts": {}}')
    kept = objects.find(baseline.keep_prepared(prepared, ["base", "compressed/two"]))
    assert [path.name for path in (kept / "compressed").iterdir()] == ["two"]
    assert type(prepared).read(kept).requests().count == prepared.requests().count
    again = baseline._read(kept, SimpleNamespace(place="compressed/two", variant="prune"))
    assert again.files(again.place("prune"))["onnx"].read_bytes() == b"compressed/two"
    model = baseline.model_digest(prepared)
    (prepared.folder / "requests" / "more.npy").touch()
    assert baseline.model_digest(prepared) == model
    (prepared.folder / "base" / "model.onnx.data").touch()
    assert baseline.model_digest(prepared) != model


def test_a_variants_own_model_is_known_by_its_bytes_and_not_by_its_answers(shop, tiny_prepared, tmp_path):
    prepared = type(tiny_prepared).read(tmp_path / "cache" / "prepared" / "tiny")
    own = prepared.folder / "own" / "small"
    own.mkdir(parents=True)
    (own / "model.onnx").write_bytes(b"small")
    prepared = replace(prepared, variants={**prepared.variants, "small": {"onnx": own / "model.onnx"}})
    pin = SimpleNamespace(workload=SimpleNamespace(model=baseline.model_digest(prepared)))
    was = SimpleNamespace(variant="small", model=baseline.model_digest(prepared, "small"))
    (own / "reference.0.npy").write_bytes(b"another CPU's")
    assert baseline.same_model(pin, was, prepared)
    (own / "model.onnx").write_bytes(b"other")
    assert not baseline.same_model(pin, was, prepared)
    assert baseline.same_model(pin, SimpleNamespace(variant="small", model=None), prepared), "older pins do not tell"


@pytest.mark.engines
@pytest.mark.slow
def test_what_is_missing_is_told_so_that_stored_figures_stand_in(bakeoff, tmp_path):
    pin = pin_shop(bakeoff)
    (candidate,) = pin.candidates
    kept = objects.find(candidate.artifact.digest)
    model = next(kept.glob("*.onnx"))
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content[:-1])
    objects._whole.cache_clear()
    shutil.rmtree(objects.find(pin.workload.kept).parent)
    lines = candidate.lock.by_name() | {"onnxruntime": "onnxruntime==0.0.1"}
    gone = Lock(python=candidate.lock.python, packages=tuple(sorted(lines.values())))
    side = baseline.pinned(pin, candidate.model_copy(update={"lock": gone}))
    changed, absent, unavailable = side.missing
    assert "not those that were pinned" in changed.reason
    assert absent.reason == "prepared workload: its bytes are not in this machine's cache"
    assert (unavailable.stage, unavailable.outcome) == ("probe", "unavailable")
    assert (side.artifact, side.prepared, side.interpreter) == (None, None, None)
    with pytest.raises(StageFailed):
        side.order(pin.asked(), tmp_path / "log")


@pytest.mark.engines
@pytest.mark.slow
def test_an_artifact_is_the_same_whenever_it_was_built(bakeoff, tmp_path):
    (first,) = pin_shop(bakeoff).candidates
    shutil.rmtree(tmp_path / "cache" / "artifacts")
    pin = pin_shop(bakeoff, "built again")
    assert pin.candidates[0].artifact == first.artifact
    (place,) = (tmp_path / "cache" / "artifacts").iterdir()
    assert baseline.artifact_now(place) == first.artifact
    (place / "artifact.json").write_text((place / "artifact.json").read_text().replace("fp32", "fp16"))
    assert baseline.artifact_now(place).digest != first.artifact.digest
    assert [each.reason for each in pin.earlier] == ["the first"]


@pytest.mark.engines
@pytest.mark.slow
def test_pinning_again_says_what_moved_and_json_says_it_too(bakeoff, shop):
    pin = pin_shop(bakeoff)
    file = shop / "results" / "baseline" / "shop.json"
    data = json.loads(file.read_text())
    data["candidates"][0]["version"] = "1.2.3"
    data["candidates"][0]["quality"]["auc"] = 0.5
    file.write_text(json.dumps(data))
    told = bakeoff("pin", "scenarios/shop.yaml", "--candidate", ID, "--reason", "again", "--json")
    ((one),) = json.loads(told)["pins"]
    version, quality = pin.candidates[0].version, pin.candidates[0].quality["auc"]
    assert one["moves"] == [
        f"{ID}: onnxruntime 1.2.3 -> {version}",
        f"{ID}: auc 0.5 -> {quality:.6g} ({quality - 0.5:+.2g})",
    ]
    assert one["digest"] == pin_files.read(file).digest


@pytest.mark.engines
@pytest.mark.slow
def test_the_choice_of_the_latest_run_with_the_scenario_is_pinned(bakeoff, shop):
    scenarios = [load_scenario(path) for path in sorted(Path("scenarios").glob("*.yaml"))]
    slower, faster = ("onnxruntime/fp32/1x1", {"onnxruntime": 2.0, "torch": 4.0}), ("torch/fp32/1x1", {"torch": 1.0})
    first = store_run("results/bakeoff.db", scenarios, slower[1])
    store_run("results/bakeoff.db", scenarios[:1], faster[1])
    wanted = {}
    with Store.open("results/bakeoff.db", create=False) as store:
        wanted = pinning.chosen(scenarios, store)
        assert pinning.chosen(scenarios, store, first) == {"other": [ID], "shop": [ID]}
    assert wanted == {"other": [faster[0]], "shop": [ID]}
    told = bakeoff("pin", "scenarios/shop.yaml", "--reason", "what the run chose")
    assert f"{ID}: pinned for the first time" in told
    told = bakeoff("pin", "scenarios/other.yaml", "--run", first[:-1], "--reason", "that very run")
    assert f"{ID}: pinned for the first time" in told
    assert [pin.name for pin in pin_files.find(shop / "results" / "baseline")] == ["other", "shop"]


def block(service_ms, seed):
    """One request after the other, as fast as the engine answers."""
    done = np.cumsum(np.random.default_rng(seed).gamma(100, service_ms * 1e4, 400)).astype(np.int64)
    started = np.concatenate([[0], done[:-1]])
    numbers, items = np.arange(400, dtype=np.int32), np.full(400, 1, np.int32)
    return Block("closed", None, numbers, items, started, started, started, done, int(done[-1]), int(done[-1]))


def store_run(place, scenarios, engines=None):
    """A stored run with engines by their service times, ms; with none, nothing was measured and nothing chosen."""
    with Store.open(place) as store:
        run = store.begin("bakeoff run", {}, {"packages": {}})
        for scenario in scenarios:
            store.add_scenario(run, scenario.name, scenario.definition(), {"data": "real"})
            for name, service_ms in (engines or {}).items():
                one = Candidate(name, "fp32", Setting("1x1"))
                store.add_candidate(run, scenario.name, one)
                store.add_quality(run, scenario.name, one.id, [Quality("auc", 0.75, 0.75, 0.0, 0.0, 0.0, 1000)])
                store.add_row(run, scenario.name, one.id, LedgerRow("serve", "ok"))
                for number in range(4):
                    blocks = block(service_ms, [number, len(name), len(scenario.name)])
                    store.add_block(run, scenario.name, one.id, number, 0, blocks)
        store.finish(run, "finished")
    return run


@pytest.mark.engines
@pytest.mark.slow
def test_a_pinned_scenario_is_pinned_anew_by_its_name_with_the_candidates_that_its_pin_has(bakeoff, shop):
    """As the check advises where something improved; no run is needed."""
    both = ("--candidate", ID, "--candidate", "onnxruntime/fp32/1x1-nofuse")
    path = shop / "scenarios" / "shop.yaml"
    bakeoff("pin", str(path), *both, "--reason", "the first")
    told = bakeoff("pin", "shop", "--reason", "what improved")
    assert "nothing changed but the reason" in told
    (pin,) = pin_files.find(Path("results/baseline"))
    assert [each.id for each in pin.candidates] == [both[1], both[3]]
    assert [each.reason for each in pin.earlier] == ["the first"]


def test_bad_input_is_one_line_and_exit_2_and_nothing_is_written(bakeoff, shop):
    scenarios = [load_scenario(path) for path in sorted(Path("scenarios").glob("*.yaml"))]
    run = store_run("results/bakeoff.db", scenarios[:1])
    asked = ("pin", "scenarios/shop.yaml", "--reason", "why")
    cases = {
        ("pin", "scenarios/shop.yaml"): "--reason: is empty; say why the baseline moves",
        ("pin", "--reason", " "): "--reason: is empty",
        ("pin", "none.yaml", "--reason", "x"): "none.yaml: ",
        asked: "results/bakeoff.db has no such scenario; run it first, or name a candidate",
        (*asked, "--run", run): f"shop: run {run} has no such scenario",
        (*asked, "--run", "2001"): "there is no run '2001'",
        ("pin", "scenarios/other.yaml", "--reason", "x"): f"other: run {run} chose nothing (INSUFFICIENT); name what",
        (*asked, "--candidate", "onnxruntime/fp32/9x9"): "--candidate onnxruntime/fp32/9x9: no such candidate",
        (*asked, "--candidate", "endpoint@triton/fp32/any"): "endpoint@triton/fp32/any: a server cannot be pinned",
        (*asked, "--candidate", "onnxruntim/fp32/1x1"): "onnxruntim: unknown backend; did you mean onnxruntime?",
        (*asked, "--candidate", ID, "--run", run): "--candidate and --run: one of the two",
        (*asked, "--store", "none.db"): "none.db",
    }
    for words, expected in cases.items():
        told = bakeoff(*words, code=2)
        assert expected in told.splitlines()[-1]
        *progress, said = told.splitlines()
        assert said.startswith("bakeoff: ")
        assert not any(line.startswith("bakeoff") for line in progress)
    assert not (shop / "results" / "baseline").exists()


def test_a_corrupt_former_pin_is_not_overwritten(bakeoff, shop):
    file = shop / "results" / "baseline" / "shop.json"
    file.parent.mkdir(parents=True)
    file.write_text("<<<<<<< HEAD")
    told = bakeoff("pin", "scenarios/shop.yaml", "--candidate", ID, "--reason", "x", code=2)
    assert "shop.json: is not valid JSON" in told
    assert file.read_text() == "<<<<<<< HEAD"
