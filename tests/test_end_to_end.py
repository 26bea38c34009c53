"""The main job as a person does it: real processes, real engines, a real store, from a model to a verdict."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakeoff import __version__ as bakeoff_version
from bakeoff.nightly.stored_figures import read_pytest_benchmark

BAKEOFF = [sys.executable, "-m", "bakeoff"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, tiny_prepared) -> Path:
    """A folder with a model in it, as a newcomer has."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "model.onnx").write_bytes(tiny_prepared.variants["base"]["onnx"].read_bytes())
    return folder


def bakeoff(*words: str, folder: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*BAKEOFF, *words], cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


ASKED = ("run", "model.onnx", "--qps", "400", "--p99", "2s", "--batch-size", "4", "--budget")
RUN = (*ASKED, "14s")


@pytest.fixture(scope="module")
def finished(workplace) -> Path:
    """The folder after one run of two engines on one's own file."""
    bakeoff(*RUN, "--backend", "onnxruntime", "--backend", "openvino", "--export", "mlperf", "logs", folder=workplace)
    return workplace


@pytest.fixture
def verb(finished, command, monkeypatch):
    """What reads a run is run in this process."""
    monkeypatch.chdir(finished)
    return command


@pytest.mark.alone
@pytest.mark.slow
def test_one_command_gives_a_verdict_and_a_page_for_ones_own_file(finished, verb):
    (answer,) = json.loads(verb("verdict", "--json"))["scenarios"]
    decided = answered(answer)
    assert answer["provisional"] is True
    by_id = {each["candidate"]: each for each in answer["candidates"]}
    if decided:
        chosen = by_id[answer["choice"]]
        assert chosen["precision"] == "fp32", "made-up inputs must not let a lossy precision win"
        assert chosen["outcome"] == "ok"
        assert chosen["p99_ms"] is None or chosen["p99_ms"] < 2000
    assert {each["backend"] for each in answer["candidates"]} == {"onnxruntime", "openvino"}
    assert all(each["reason"] for name, each in by_id.items() if name != answer["choice"])
    pages = list((finished / "reports").glob("*/index.html"))
    assert len(pages) == 1
    assert "model" in pages[0].read_text(encoding="utf-8")


def answered(answer) -> bool:
    """Whether the question was answered; a machine with little time to spare may rightly say that it was not."""
    if answer["verdict"] != "INSUFFICIENT":
        assert answer["verdict"] in {"WIN", "TIE"}
        return True
    assert answer["choice"] is None
    assert answer["reasons"], "what was missing is told"
    return False


@pytest.mark.alone
@pytest.mark.slow
def test_a_run_tells_of_its_machine_and_its_measuring(finished, verb):
    found = json.loads(verb("verdict", "--json"))
    assert [look["when"] for look in found["host"]["noise"]] == ["before", "after"]
    assert found["host"]["container"]
    assert found["environment"]["packages"]["onnxruntime"]
    measured = found["scenarios"][0]["measuring"]
    assert 0 < measured["open_blocks"] <= measured["blocks"]
    assert 0 < measured["generator_share"] < 1
    text = next((finished / "reports").glob("*/index.html")).read_text(encoding="utf-8")
    assert "The machine and the measuring" in text
    assert "The load generator" in text
    facts = json.loads(verb("table", "--json"))
    blocks = [row for row in facts if row["round"] is not None]
    assert all(row["fact_over_budget"] == 0 for row in blocks), "honest engines keep to their CPUs"
    assert all(row["fact_busy_threads"] >= 1 for row in blocks)


@pytest.mark.alone
@pytest.mark.slow
def test_a_stored_run_can_be_tabled_and_reported_again(finished, verb):
    verb("table", "--csv", "out.csv", "--parquet", "out.parquet")
    header, *rows = (finished / "out.csv").read_text(encoding="utf-8").splitlines()
    assert "candidate" in header
    assert rows
    assert (finished / "out.parquet").stat().st_size > 0
    assert json.loads(verb("table", "--json"))
    told = verb("export", "--to", "again").splitlines()
    summaries = sorted((finished / "logs").rglob("mlperf_log_summary.txt"))
    assert len(told) == len(summaries) >= 2
    assert all("Scenario : Server" in path.read_text(encoding="utf-8") for path in summaries)
    verb("export", "--format", "pytest-benchmark", "--output", "bench.json")
    stored = read_pytest_benchmark(finished / "bench.json")
    assert {figures.load for figures in stored.values()} == {"closed loop, one lane"}
    assert {name.split("/")[0] for name in stored} == {"model: onnxruntime", "model: openvino"}
    verb("report", "--to", "elsewhere")
    names = {path.suffix for path in (finished / "elsewhere").iterdir()}
    assert {".html", ".png", ".svg", ".md"} <= names


@pytest.mark.alone
@pytest.mark.slow
def test_a_stored_run_has_a_map(finished, verb):
    told = json.loads(verb("map", "latest", "--json", "--to", "drawn"))
    assert {point["sla_ms"] for point in told["map"]} == {1000.0, 2000.0, 4000.0, 8000.0}
    assert {point["extrapolated"] for point in told["map"] if point["batch_size"] != 4} == {True}, "4 were measured"
    assert {path.suffix for path in (finished / "drawn").iterdir()} == {".png", ".svg"}
    wrong = verb("map", "--scenario", "other", code=2)
    assert "--scenario other: not in run" in wrong


@pytest.mark.alone
@pytest.mark.slow
def test_a_stored_run_can_be_planned_for_a_fleet(finished, verb):
    (answer,) = json.loads(verb("verdict", "--json"))["scenarios"]
    known = next(each["candidate"] for each in answer["candidates"] if each["capacity_qps"])
    words = ("plan", "--candidate", known, "--fleet-qps", "1M", "--lost", "2")
    told = json.loads(verb(*words, "--to", "charts", "--json"))
    assert (told["candidate"], told["fleet_qps"], told["lost"]) == (known, 1e6, 2)
    assert told["peak"]["replicas"] == told["formula"] > told["fewest"]["replicas"] > 1
    assert told["without"]["replicas"] == told["formula"] - 2
    assert (finished / "charts" / "fleet-model.png").stat().st_size > 0
    assert "scaled by the hour" in verb(*words)
    assert "--fleet-qps: missing" in verb("plan", "--candidate", known, code=2)


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_how_much_can_it_take_is_answered_between_a_rate_that_holds_and_one_that_fails(workplace):
    asked = ("run", "model.onnx", "--qps", "max", "--p99", "50ms", "--batch-size", "4", "--budget", "40s")
    bakeoff(*asked, "--candidate", "onnxruntime/fp32/1x1", "--store", "most.db", folder=workplace)
    (answer,) = json.loads(bakeoff("verdict", "--json", "--store", "most.db", folder=workplace).stdout)["scenarios"]
    (judged,) = answer["candidates"]
    assert judged["capacity_measured"]
    assert judged["headroom"] is None, "no rate was asked"
    assert (judged["capacity_low_qps"] or 0) <= judged["capacity_qps"]
    assert judged["capacity_high_qps"] is None or judged["capacity_qps"] <= judged["capacity_high_qps"]
    rows = json.loads(bakeoff("table", "--json", "--store", "most.db", folder=workplace).stdout)
    assert {row["kind"] for row in rows if row["round"] == 0} == {"closed"}, "no rate is known yet"
    tried = {row["offered_qps"] for row in rows if row["round"] == -1}
    assert len(tried) >= 2
    if judged["outcome"] == "ok":
        assert "requests/s a replica" in answer["headline"]
        assert {row["offered_qps"] for row in rows if row["round"] > 0} <= tried


@pytest.mark.slow
def test_a_killed_run_resumes_without_measuring_anything_twice(workplace):
    store = workplace / "killed.db"
    parent = subprocess.Popen(
        [*BAKEOFF, *ASKED, "20s", "--candidate", "onnxruntime/fp32/1x1-basic", "--store", str(store)],
        cwd=workplace,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_for(lambda: _blocks(store) >= 2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    before = _blocks_with_times(store)
    bakeoff("run", "--resume", "latest", "--budget", "10s", "--store", str(store), folder=workplace)
    after = _blocks_with_times(store)
    assert before <= after, "a block measured before the kill was lost or measured again"
    assert len(after) > len(before)
    (answer,) = json.loads(bakeoff("verdict", "--json", "--store", str(store), folder=workplace).stdout)["scenarios"]
    answered(answer)


@pytest.mark.engines
def test_two_versions_of_an_engine_meet_in_one_run(workplace):
    words = (
        *ASKED,
        "20s",
        "--backend",
        "onnxruntime",
        "--versus",
        "onnxruntime==1.30.0",
        "--store",
        "versus.db",
        "--json",
    )
    (answer,) = json.loads(bakeoff(*words, folder=workplace).stdout)["scenarios"]
    answered(answer)
    found = {each["candidate"]: each for each in answer["candidates"]}
    both = [found[f"{backend}/fp32/1x1"] for backend in ("onnxruntime", "onnxruntime@1.30.0")]
    assert all(each["capacity_qps"] for each in both), "both were measured"
    with sqlite3.connect(f"file:{workplace / 'versus.db'}?mode=ro", uri=True) as connection:
        facts = dict(connection.execute("select candidate, facts from bakeoff_candidates"))
    versions = [json.loads(facts[each["candidate"]])["version"] for each in both]
    assert versions[1] == "1.30.0" != versions[0]


def _wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def _blocks(store: Path) -> int:
    try:
        return len(_blocks_with_times(store))
    except sqlite3.OperationalError:
        return 0


def _blocks_with_times(store: Path) -> set[tuple[object, ...]]:
    if not store.exists():
        return set()
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        return set(connection.execute("select candidate_number, round, position, at from bakeoff_blocks"))


FATES = {
    "naughty-aborts": "crashed",
    "naughty-glutton": "out-of-memory",
    "naughty-hangs": "over-budget",
    "naughty-lazy": "wrong-output",
    "naughty-missing": "failed",
    "naughty-nan": "wrong-output",
    "naughty-raises": "failed",
    "naughty-raises-in-build": "failed",
    "naughty-raises-in-load": "failed",
    "naughty-segfaults": "crashed",
    "naughty-unavailable": "unavailable",
    "naughty-unsupported": "unsupported",
    "naughty-wrong-shape": "wrong-output",
}


@pytest.mark.alone
@pytest.mark.slow
def test_an_engine_with_more_threads_than_its_budget_or_on_other_cpus_cannot_win(workplace, tmp_path):
    install = Path(__file__).parent / "naughty" / "install.py"
    subprocess.run([sys.executable, str(install), str(tmp_path)], check=True)
    (workplace / "crowded.yaml").write_text(
        "workload: model.onnx\n"
        "traffic: {kind: server, qps: 40, batch_size: 4, duration: 1s}\n"
        "sla: {p99: 2s}\n"
        "resources: {cpus: 1}\n"
        "candidates: {backends: [naughty-crowded, naughty-strays], precisions: [fp32]}\n"
    )
    words = ("run", "crowded.yaml", "--budget", "30s", "--store", "crowded.db", "--json")
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    (answer,) = json.loads(bakeoff(*words, folder=workplace, PYTHONPATH=paths).stdout)["scenarios"]
    by_name = {each["backend"]: each for each in answer["candidates"]}
    crowded, strays = by_name["naughty-crowded"], by_name["naughty-strays"]
    for each in (crowded, strays):
        assert (each["outcome"], each["trusted"]) == ("over-cpus", False)
    assert strays["reason"] == "it left the CPUs it was given"
    assert re.search(r"used more threads than allowed \([5-9] busy on 1 CPU\)", crowded["reason"])
    assert answer["choice"] is None


@pytest.mark.engines
@pytest.mark.slow
def test_every_misbehaving_engine_gets_its_row_and_all_others_finish(workplace, tmp_path):
    install = Path(__file__).parent / "naughty" / "install.py"
    subprocess.run([sys.executable, str(install), str(tmp_path)], check=True)
    (workplace / "naughty.yaml").write_text(
        "workload: model.onnx\n"
        "traffic: {kind: server, qps: 100, batch_size: 4, duration: 1s}\n"
        "sla: {p99: 2s}\n"
        "resources: {memory: 1GiB}\n"
        "candidates:\n  backends:\n"
        + "".join(f"    - {name}\n" for name in [*FATES, "naughty-chatters", "naughty-honest", "onnxruntime"])
        + "  precisions: [fp32]\n"
    )
    words = ("run", "naughty.yaml", "--budget", "90s", "--store", "naughty.db", "--json")
    done = bakeoff(*words, folder=workplace, PYTHONPATH=str(tmp_path))
    (answer,) = json.loads(done.stdout)["scenarios"]
    found = {each["backend"]: each for each in answer["candidates"]}
    assert {name: found[name]["outcome"] for name in FATES} == FATES
    assert all(found[name]["reason"] and found[name]["p99_ms"] is None for name in FATES)
    honest = {"naughty-chatters", "naughty-honest", "onnxruntime"}
    if answered(answer):
        assert answer["choice"].split("/")[0] in honest
    assert all(found[name]["capacity_qps"] for name in honest)


def test_a_dry_run_lists_the_candidates_and_writes_nothing(workplace):
    before = set(workplace.iterdir())
    done = bakeoff(*RUN, "--backend", "onnxruntime", "--dry-run", folder=workplace)
    assert "onnxruntime/fp32" in done.stdout
    assert set(workplace.iterdir()) == before


def test_a_dry_run_finds_a_workload_that_is_none(workplace, tmp_path):
    asked = tmp_path / "typo.yaml"
    asked.write_text("workload: ctr-dlmr\ntraffic: {kind: server, qps: 5}\nsla: {p99: 20ms}\n")
    done = bakeoff("run", str(asked), "--backend", "onnxruntime", "--dry-run", folder=workplace, code=2)
    assert "workload: ctr-dlmr: no such workload; did you mean ctr-dlrm?" in done.stderr


def test_the_version_is_told(workplace):
    assert bakeoff("--version", folder=workplace).stdout == f"bakeoff {bakeoff_version}\n"


def test_init_writes_starters_that_load_and_overwrites_nothing(tmp_path):
    done = bakeoff("init", folder=tmp_path)
    assert "scenarios/ctr-ranking.yaml" in done.stdout
    assert "--force" in bakeoff("init", folder=tmp_path, code=2).stderr
    bakeoff("init", "--force", folder=tmp_path)
    from bakeoff.scenario import find, load_scenarios

    assert len(load_scenarios(find([tmp_path / "scenarios"]))) == len(
        list((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))
    )


def test_doctor_says_what_each_backend_can_do(tmp_path):
    found = json.loads(bakeoff("doctor", "--json", folder=tmp_path).stdout)
    by_name = {each["backend"]: each for each in found["backends"]}
    assert {"torch", "torch-compile", "onnxruntime", "openvino"} <= set(by_name)
    for each in by_name.values():
        assert each["available"] or (each["reason"] and each["remedy"])
    assert by_name["onnxruntime"]["version"]
    assert found["host"]["cores"] >= 1
    assert found["environment"]["packages"]["bakeoff"]
    assert found["measuring"]["engine_cpus"]
    assert isinstance(found["measuring"]["realtime_priority"], bool)
    assert "worst_gap_ms" in found["noise"]


def test_schema_is_json(tmp_path):
    assert "traffic" in json.loads(bakeoff("schema", folder=tmp_path).stdout)["properties"]


def test_help_starts_light():
    """`bakeoff --help` must answer at once, so that nothing heavy may be imported for it."""
    code = "import sys, bakeoff.cli; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "pandas", "torch", "scipy", "sklearn", "matplotlib", "sqlalchemy", "pydantic", "onnx", "rich"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize(
    "verb",
    [
        "init",
        "doctor",
        "prepare",
        "run",
        "verdict",
        "plan",
        "table",
        "report",
        "map",
        "join",
        "compare",
        "history",
        "bundle",
        "verify",
        "schema",
        "conformance",
    ],
)
def test_every_verb_has_help_with_an_example(verb, tmp_path):
    assert f"Example: bakeoff {verb}" in bakeoff(verb, "--help", folder=tmp_path).stdout
