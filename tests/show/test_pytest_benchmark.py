"""A stored run as the real pytest-benchmark reads it, and its statistics beside its own."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.logger import Logger
from pytest_benchmark.stats import Stats
from pytest_benchmark.storage.file import FileStorage

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.cli import main
from bakeoff.measure.block import NEVER, Block
from bakeoff.nightly.stored_figures import read_pytest_benchmark
from bakeoff.scenario import from_dict
from bakeoff.show.pytest_benchmark import statistics
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

ASKED = {"workload": "ctr-dlrm", "traffic": {"kind": "single_stream", "batch_size": 100}, "resources": {"cpus": 1}}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 101, 1000])
def test_the_statistics_are_pytest_benchmarks(count):
    times_s = np.random.default_rng(count).lognormal(-9, 1, count)
    theirs = Stats()
    for value in times_s:
        theirs.update(float(value))
    assert {name: value for name, value in statistics(times_s).items() if name != "iterations"} == {
        name: value if isinstance(value, str) else pytest.approx(value) for name, value in theirs.as_dict().items()
    }


def block(kind, times_ns, lanes=1, lost=0):
    done = np.cumsum(times_ns).astype(np.int64)
    started = done - times_ns
    done[:lost] = NEVER
    numbers = np.arange(len(done), dtype=np.int32)
    rate = 100.0 if kind == "open" else None
    return Block(kind, rate, numbers, numbers + 1, started, started, started, done, int(done[-1]), 1, {"lanes": lanes})


def times(first):
    return np.arange(first, first + 40_000, 100, dtype=np.int64)


@pytest.fixture
def store(tmp_path) -> str:
    """Candidates under four loads, and one that was never measured."""
    played = {
        "alone": [(number, block("closed", times(first))) for number, first in enumerate((9_000_000, 50_000, 70_000))],
        "screened": [(0, block("closed", times(50_000), lost=10))],
        "open": [(-1, block("open", times(5_000))), (1, block("open", times(80_000)))],
        "crowd": [(1, block("closed", times(60_000), lanes=4))],
        "mute": [(0, block("closed", times(50_000), lost=400))],
        "absent": [],
    }
    with Store.open(tmp_path / "runs.db") as opened:
        run = opened.begin("bakeoff run", {"host": "ab12", "cpu": "a CPU"}, {"git_commit": "0123abcd-dirty"})
        opened.add_scenario(run, "night", from_dict({**ASKED, "name": "night"}).definition(), {"data": "real"})
        for name, blocks in played.items():
            candidate = Candidate(name, "fp32", Setting("1x1"))
            opened.add_candidate(run, "night", candidate, {"version": "1.2"})
            opened.add_row(run, "night", candidate.id, LedgerRow("serve", "ok"))
            for number, one in blocks:
                opened.add_block(run, "night", candidate.id, number, 0, one)
        joined = {**ASKED, "name": "joined", "traffic": {"kind": "multi_stream", "samples_per_query": 8}}
        opened.add_scenario(run, "joined", from_dict(joined).definition(), {"data": "real"})
        opened.add_candidate(run, "joined", Candidate("alone", "fp32", Setting("1x1")))
        opened.add_block(run, "joined", "alone/fp32/1x1", 1, 0, block("closed", times(50_000)))
        opened.finish(run, "finished")
    return str(tmp_path / "runs.db")


@pytest.fixture
def bakeoff(store, monkeypatch, capsys):
    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["bakeoff", "export", *words, "--store", store])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def exported(bakeoff, tmp_path) -> Path:
    told = bakeoff("--format", "pytest-benchmark", "--output", str(tmp_path / "out.json"))
    assert "night: mute/fp32/1x1, night: absent/fp32/1x1" in told.err
    return tmp_path / "out.json"


def test_real_pytest_benchmark_compares_it(exported, tmp_path):
    words = ["compare", str(exported), "--csv", str(tmp_path / "c.csv"), "--columns", "min,median,rounds"]
    command = [sys.executable, "-m", "pytest_benchmark", "--storage", str(tmp_path), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "benchmark 'night': 4 tests" in done.stdout
    assert "alone/fp32/1x1" in done.stdout
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "c.csv").read_text().splitlines())}
    assert rows["night: alone/fp32/1x1"]["param:backend"] == "alone"
    assert float(rows["night: alone/fp32/1x1"]["min"]) == pytest.approx(50e-6), "rounds count, the screen does not"
    assert int(rows["night: screened/fp32/1x1"]["rounds"]) == 390, "a screen counts where there is no round"


def test_what_was_timed_under_another_load_has_another_name(exported):
    loaded = FileStorage(exported.parent, Logger(Logger.QUIET)).load_benchmarks(str(exported))
    assert {each["fullname"]: each["extra_info"]["load"] for each in loaded} == {
        "night: alone/fp32/1x1": "closed loop, one lane",
        "night: screened/fp32/1x1": "closed loop, one lane",
        "night: open/fp32/1x1 (open loop)": "open loop",
        "night: crowd/fp32/1x1 (closed loop, 4 lanes)": "closed loop, 4 lanes",
        "joined: alone/fp32/1x1 (closed loop, 8 requests a call)": "closed loop, 8 requests a call",
    }


def test_the_check_reads_it(exported):
    found = read_pytest_benchmark(exported)
    names = {f"night: {name}/fp32/1x1" for name in ("alone", "screened", "open", "crowd")}
    assert set(found) == names | {"joined: alone/fp32/1x1"}
    alone = found["night: alone/fp32/1x1"]
    assert (alone.host, alone.cpu) == ("ab12", "a CPU")
    taken_s = np.array([*times(50_000), *times(70_000)]) / 1e9
    assert taken_s.min() < alone.q1 < np.median(taken_s)


def test_the_document_is_whole_and_strict(exported, bakeoff):
    document = json.loads(exported.read_text(), parse_constant=pytest.fail)
    assert set(document) == {"machine_info", "commit_info", "benchmarks", "datetime", "version"}
    assert (document["commit_info"]["id"], document["commit_info"]["dirty"]) == ("0123abcd", True)
    assert json.loads(bakeoff("--format", "pytest-benchmark").out) == document


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--format", "csv"), "--format csv: unknown; it takes mlperf or pytest-benchmark"),
        ((), "--format mlperf: takes a folder, --to FOLDER"),
        (("--to", "logs", "--output", "x"), "--format mlperf: takes a folder, --to FOLDER"),
        (("--format", "pytest-benchmark", "--to", "logs"), "--to: is a folder for mlperf"),
        (("--format", "pytest-benchmark", "--output", "none/x.json"), "none/x.json: cannot be written: No such file"),
    ],
)
def test_what_makes_no_sense_is_one_line(bakeoff, words, complaint):
    assert complaint in bakeoff(*words, code=2).err
