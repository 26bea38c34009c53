"""`pytest --bakeoff` as its users run it: real pytest processes, pytest-benchmark's own fixture, real engines."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from bakeoff import pytest_plugin
from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.nightly.stored_figures import read_pytest_benchmark
from bakeoff.scenario import from_dict
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

HERE = Path(__file__).parent
INSTALLED = any(point.value == "bakeoff.pytest_plugin" for point in entry_points(group="pytest11"))
SCENARIO = """\
workload: ../model.onnx
traffic: {kind: single_stream, batch_size: 4}
resources: {cpus: 1}
candidates:
  precisions: [fp32]
  backends: [onnxruntime, naughty-honest, naughty-unavailable, naughty-raises-in-load, naughty-nan]
"""
FAILED = {
    "naughty-raises-in-load": "load: failed: ValueError: bad artifact",
    "naughty-nan": "verify: wrong-output: output 'score' holds NaN",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_prepared) -> Path:
    """A project with a scenario, other YAML, and a test of its own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "tiny.yaml").write_text(SCENARIO)
    (folder / "scenarios" / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    (folder / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert 'bakeoff.pytest_plugin' in sys.modules\n"
        "    heavy = ('bakeoff.pytest_items', 'bakeoff.api', 'numpy', 'pydantic', 'scipy')\n"
        "    assert not [name for name in heavy if name in sys.modules]\n"
    )
    runpy.run_path(str(HERE / "naughty" / "install.py"))["install"](folder / "plugins")
    return folder


def ran(place: Path, *words: str, code: int = 0) -> str:
    """What pytest tells of a run in the project."""
    load = [] if INSTALLED else ["-p", "bakeoff.pytest_plugin"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment = ours | {
        "BAKEOFF_CACHE": str(place / "cache"),
        "PYTHONPATH": os.pathsep.join([str(place / "plugins"), os.environ.get("PYTHONPATH", "")]),
        "PYTEST_ADDOPTS": "",
    }
    command = [sys.executable, "-m", "pytest", *load, "-p", "no:cacheprovider", "-ra", *words]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_package_names_the_plugin():
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"bakeoff": pytest_plugin.__name__}


def test_a_pytest_run_that_does_not_ask_for_it_imports_nothing_and_collects_no_scenario(place):
    assert "1 passed" in ran(place, "-q", "-p", "no:hypothesispytest", "-p", "no:jaxtyping", "test_own.py", "scenarios")


def test_it_says_what_it_needs(place):
    command = [sys.executable, "-m", "pytest", *([] if INSTALLED else ["-p", "bakeoff.pytest_plugin"])]
    done = subprocess.run(
        [*command, "-p", "no:benchmark", "--bakeoff", "scenarios"], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert "--bakeoff needs pytest-benchmark: pip install 'bakeoff[pytest]'" in done.stderr


@pytest.mark.engines
@pytest.mark.slow
def test_candidates_are_listed_without_preparing_anything(place, tmp_path):
    told = ran(place, "--bakeoff", "scenarios", "--collect-only", "-q", "-k", "honest or nan")
    assert [line for line in told.splitlines() if "::" in line] == [
        "scenarios/tiny.yaml::naughty-honest/fp32/1x1",
        "scenarios/tiny.yaml::naughty-nan/fp32/1x1",
    ]
    assert "3 deselected" in told


@pytest.fixture(scope="module")
def played(place) -> str:
    """What pytest told of a whole run, which wrote out.json and was saved."""
    words = ("--bakeoff", "scenarios/", "--benchmark-json", "out.json", "--benchmark-max-time", "0.2")
    return ran(place, *words, "--benchmark-autosave", "--benchmark-storage", "kept", code=1)


@pytest.mark.engines
@pytest.mark.slow
def test_each_candidate_is_a_benchmark_and_one_that_fails_says_why(place, played):
    assert "2 passed" in played
    assert "1 skipped" in played
    assert "2 failed" in played
    assert re.search(r"SKIPPED \[1\] .*unavailable: ", played)
    for name, reason in FAILED.items():
        assert f"FAILED scenarios/tiny.yaml::{name}/fp32/1x1" in played
        assert len(re.findall(f"^{reason}", played, re.MULTILINE)) == 1
    assert "Traceback" not in played
    assert "Warning" not in played
    found = json.loads((place / "out.json").read_text())
    for benchmark in found["benchmarks"]:
        assert benchmark["group"] == "tiny"
        assert benchmark["params"]["precision"] == "fp32"
        assert benchmark["options"]["min_rounds"] == 5
        stats = benchmark["stats"]
        assert stats["rounds"] == len(stats["data"]) >= 5
        assert min(stats["data"]) > 0
    assert {each["param"] for each in found["benchmarks"]} == {"onnxruntime/fp32/1x1", "naughty-honest/fp32/1x1"}


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.usefixtures("played")
def test_the_check_reads_what_pytest_benchmark_wrote(place):
    figures = read_pytest_benchmark(place / "out.json")
    assert set(figures) == {"tiny: onnxruntime/fp32/1x1", "tiny: naughty-honest/fp32/1x1"}
    one = figures["tiny: onnxruntime/fp32/1x1"]
    assert (one.load, bool(one.host)) == ("closed loop, one lane", True)
    assert one.q1 > 0


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.usefixtures("played")
def test_compare_and_storage_work_unchanged(place):
    words = (
        "--bakeoff",
        "scenarios/tiny.yaml",
        "-k",
        "honest",
        "--benchmark-storage",
        "kept",
        "--benchmark-max-time=0.1",
    )
    told = ran(place, *words, "--benchmark-compare", "--benchmark-compare-fail", "median:100000%")
    assert "naughty-honest/fp32/1x1 (NOW)" in told
    assert "naughty-honest/fp32/1x1 (0001_" in told
    quicker = json.loads((place / "out.json").read_text())
    for benchmark in quicker["benchmarks"]:
        benchmark["stats"]["median"] /= 1000
    (place / "quicker.json").write_text(json.dumps(quicker))
    told = ran(place, *words, "--benchmark-compare=quicker.json", "--benchmark-compare-fail=median:5%", code=1)
    assert "scenarios/tiny.yaml . " in told, "it passed: what ends with 1 is pytest-benchmark"


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.usefixtures("played")
def test_beside_other_workers_each_runs_once_untimed_as_other_benchmarks_do(place):
    told = ran(
        place, "--bakeoff", "scenarios/tiny.yaml", "-k", "honest or onnxruntime", "-n", "2", "--benchmark-json=n.json"
    )
    assert "2 passed" in told
    assert not (place / "n.json").exists()


@pytest.mark.engines
def test_a_scenario_that_is_none_is_one_line(place, tmp_path):
    (tmp_path / "bad.yaml").write_text("workload: ctr-dlrm\ntraffic: {kind: tidal}\n")
    told = ran(place, "--bakeoff", str(tmp_path / "bad.yaml"), code=2)
    assert "bad.yaml: traffic.kind: 'tidal': must be 'server'" in told
    assert "Traceback" not in told
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    assert "list.yaml" in ran(place, "--bakeoff", str(tmp_path / "list.yaml"), code=2)


@pytest.fixture
def store(place, tmp_path) -> str:
    """A run of the scenario in which one candidate passed, one is gone since, and one could not be built."""
    closed = np.arange(0, 400 * 50_000, 50_000)
    numbers = np.arange(400, dtype=np.int32)
    block = Block("closed", None, numbers, numbers + 1, closed, closed, closed, closed + 50_000, 20_000_000, 20_000_000)
    asked = {"name": "tiny", "workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}, "resources": {"cpus": 1}}
    with Store.open(tmp_path / "runs.db") as opened:
        run = opened.begin("bakeoff run", {"host": "aa"}, {"packages": {}})
        opened.add_scenario(run, "tiny", from_dict(asked).definition(), {"data": "real"})
        for name in ("naughty-honest", "gone", "naughty-nan"):
            candidate = Candidate(name, "fp32", Setting("1x1"))
            opened.add_candidate(run, "tiny", candidate)
            outcome = ("verify", "wrong-output", "NaN") if name == "naughty-nan" else ("serve", "ok")
            opened.add_row(run, "tiny", candidate.id, LedgerRow(*outcome))
            for number in range(4 if outcome[1] == "ok" else 0):
                opened.add_block(run, "tiny", candidate.id, number, 0, block)
        opened.finish(run, "finished")
    return str(tmp_path / "runs.db")


@pytest.mark.engines
@pytest.mark.slow
def test_a_stored_runs_candidates_are_those_that_passed_every_gate(place, store):
    words = ("--bakeoff", "scenarios/", "--bakeoff-store", store, "--bakeoff-run", "latest")
    listed = ran(place, *words, "--collect-only", "-q")
    assert sorted(re.findall(r"::(\S+)", listed)) == ["gone/fp32/1x1", "naughty-honest/fp32/1x1"]
    told = ran(place, *words, "--benchmark-max-time=0.1", code=1)
    assert "1 failed, 1 passed" in told
    assert re.search(r"^--candidate gone/fp32/1x1: no such candidate", told, re.MULTILINE)


@pytest.mark.engines
def test_a_run_without_the_scenario_or_without_a_run_is_one_line(place, store, tmp_path):
    (tmp_path / "other.yaml").write_text("workload: ctr-dlrm\ntraffic: {kind: single_stream}\n")
    words = ("--bakeoff", str(tmp_path / "other.yaml"), "--bakeoff-store")
    told = ran(place, *words, store, "--bakeoff-run", "latest", code=2)
    assert re.search(r"^--bakeoff-run latest: run \S+ has no scenario other$", told, re.MULTILINE)
    told = ran(place, *words, str(tmp_path / "none.db"), "--bakeoff-run", "latest", code=2)
    assert "none.db" in told
    assert "Traceback" not in told
