"""Our logs beside those of the real LoadGen, for the same latencies, read by the same expressions."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.scenario import from_dict
from bakeoff.show import mlperf
from bakeoff.store.record import (
    CAPACITY_ROUND,
    SCREEN_ROUND,
    BlockRecord,
    CandidateRecord,
    RunRecord,
    ScenarioRecord,
)

LINE = re.compile(r"^ *(.+?) *: *(.*)$")
LOADGEN = """
import sys
import mlperf_loadgen as lg
kind, folder, qps = sys.argv[1], sys.argv[2], float(sys.argv[3])
settings = lg.TestSettings()
settings.scenario, settings.mode = getattr(lg.TestScenario, kind), lg.TestMode.PerformanceOnly
settings.server_target_qps = settings.offline_expected_qps = qps
settings.server_target_latency_ns = 50_000_000
settings.single_stream_expected_latency_ns = settings.multi_stream_expected_latency_ns = 1e9 / qps
settings.min_duration_ms, settings.min_query_count = 300, 100
logs = lg.LogSettings()
logs.log_output.outdir = folder
def issue(samples):
    lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0) for sample in samples])
sut = lg.ConstructSUT(issue, lambda: None)
library = lg.ConstructQSL(8, 8, lambda _: None, lambda _: None)
lg.StartTestWithLogSettings(sut, library, settings, logs)
"""
TRACED = re.compile(r'"name":"Sample".*?"ts":([0-9.]+),"args":\{"sample_seq":([0-9]+),.*?"complete_ns":([0-9]+)')


def scenario(kind="server", **traffic):
    asked = {"name": "ctr", "workload": "ctr-dlrm", "traffic": {"kind": kind, **traffic}}
    return from_dict(asked | ({"sla": {"p99": "50ms"}} if "qps" in traffic else {}))


def run_of(asked, *blocks, screen=(), probes=()):
    rounds = [BlockRecord(number, 0, lambda block=block: block) for number, block in enumerate(blocks, start=1)]
    before = [
        BlockRecord(number, position, lambda block=block: block)
        for number, part in ((SCREEN_ROUND, screen), (CAPACITY_ROUND, probes))
        for position, block in enumerate(part)
    ]
    candidate = CandidateRecord(Candidate("onnxruntime", "fp32", Setting("1x2")), blocks=(*before, *rounds))
    at = datetime(2026, 11, 21, 14, 12, 5, tzinfo=UTC)
    return RunRecord(
        "r", at, at, "finished", "bakeoff run", {}, {}, None, 1,
        (ScenarioRecord("ctr", asked.definition(), {}, (candidate,)),),
    )  # fmt: skip


def block_of(scheduled_ns, latencies_ns, kind="open", qps=None):
    scheduled_ns = np.asarray(scheduled_ns, np.int64)
    done_ns = scheduled_ns + np.asarray(latencies_ns, np.int64)
    count = len(scheduled_ns)
    return Block(
        kind, qps, np.zeros(count, np.int32), np.ones(count, np.int32), scheduled_ns, scheduled_ns, scheduled_ns,
        done_ns, wall_ns=int(done_ns.max()), cpu_ns=1, facts={},
    )  # fmt: skip


def written(tmp_path, record):
    (place,) = mlperf.write(record, tmp_path / "out").folders
    assert place == tmp_path / "out" / "ctr" / "onnxruntime-fp32-1x2"
    return (place / mlperf.SUMMARY).read_text(), details((place / mlperf.DETAIL).read_text())


def fields(summary):
    return {match[1]: match[2] for match in map(LINE.match, summary.splitlines()) if match}


def details(text):
    lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in text.splitlines() if line.startswith(":::MLLOG")]
    return {line["key"]: line for line in lines}


def loadgens(tmp_path, kind, qps=500.0):
    """The real LoadGen's summary and details, its schedule and its latencies in the order of the samples."""
    pytest.importorskip("mlperf_loadgen")
    folder = tmp_path / "theirs"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", LOADGEN, kind, str(folder), str(qps)], check=True)
    found = sorted((int(n), float(us), int(ns)) for us, n, ns in TRACED.findall((folder / TRACE).read_text()))
    scheduled_ns = np.array([round(us * 1e3) for _, us, _ in found])
    text = (folder / mlperf.DETAIL).read_text()
    text = "\n".join(line for line in text.splitlines() if "loadgen_file_sha1" not in line)
    summary = (folder / mlperf.SUMMARY).read_text()
    return summary, details(text), scheduled_ns - scheduled_ns[0], np.array([ns for *_, ns in found])


TRACE = "mlperf_log_trace.json"
LATENCIES = [f"{name} latency (ns)" for name in ("Min", "Max", "Mean")]
LATENCIES += [f"{name} percentile latency (ns)" for name in ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")]


def test_a_server_summary_is_loadgens_line_for_line(tmp_path):
    theirs, their_details, scheduled_ns, latencies_ns = loadgens(tmp_path, "Server")
    ours, our_details = written(tmp_path, run_of(scenario(qps=500), block_of(scheduled_ns, latencies_ns, qps=500.0)))
    mine, other = fields(ours), fields(theirs)
    assert [mine[name] for name in LATENCIES] == [other[name] for name in LATENCIES]
    assert set(mine) <= set(other)
    assert {name for name in other if "seed" not in name and "performance_" not in name} - set(mine) == {
        "accuracy_log_probability", "accuracy_log_sampling_target", "accuracy_sample_count", "print_timestamps",
    }  # fmt: skip
    assert mine["Scenario"] == "Server"
    assert float(mine["Scheduled samples per second"]) == pytest.approx(
        float(other["Scheduled samples per second"]), rel=0.02
    )
    assert our_details["result_99.00_percentile_latency_ns"]["value"] == int(other["99.00 percentile latency (ns)"])
    assert set(our_details) - set(their_details) <= {"result_invalid_reason"}
    assert set(our_details["result_validity"]) == set(their_details["result_validity"])
    assert set(our_details["num_errors"]["metadata"]) == set(their_details["num_errors"]["metadata"])


@pytest.mark.parametrize(
    ("kind", "name"), [("single_stream", "SingleStream"), ("multi_stream", "MultiStream"), ("offline", "Offline")]
)
def test_closed_loops_have_loadgens_lines(tmp_path, kind, name):
    theirs, their_details, _, latencies_ns = loadgens(tmp_path, name)
    calls_ns = np.unique(latencies_ns) if kind == "multi_stream" else latencies_ns
    starts_ns = np.zeros_like(calls_ns) if kind == "offline" else np.cumsum(calls_ns) - calls_ns
    ours, our_details = written(tmp_path, run_of(scenario(kind), block_of(starts_ns, calls_ns, "closed")))
    mine, other = fields(ours), fields(theirs)
    assert set(mine) <= set(other) | {"Recommendations", "samples_per_query"}
    assert mine["Scenario"] == name
    if kind != "multi_stream":
        assert [mine[each] for each in LATENCIES] == [other[each] for each in LATENCIES]
    if kind == "single_stream":
        assert mine["90.0th percentile latency (ns)"] == other["90.0th percentile latency (ns)"]
        theirs_early, ours_early = (text["early_stopping_result"]["value"] for text in (their_details, our_details))
        assert theirs_early.startswith(ours_early)


SECONDS = np.arange(20_000) * 1_000_000


def test_rounds_count_as_one_test_and_a_screen_only_without_them(tmp_path):
    fast, slow = block_of(SECONDS, np.full(20_000, 10**6), qps=1e3), block_of(SECONDS, np.full(20_000, 10**7), qps=1e3)
    summary, found = written(tmp_path, run_of(scenario(qps=1000), fast, fast, screen=[slow]))
    assert found["result_query_count"]["value"] == 40_000
    assert fields(summary)["Max latency (ns)"] == "1000000"
    assert fields(summary)["Result is"] == "VALID"
    summary, found = written(tmp_path, run_of(scenario(qps=1000), screen=[slow]))
    assert fields(summary)["Max latency (ns)"] == "10000000"


def test_too_slow_too_short_and_too_few_are_invalid_each_for_its_reason(tmp_path):
    limit_ns = 50_000_000
    slow = np.where(SECONDS % 50_000_000 == 0, 2 * limit_ns, 10**6)
    summary, found = written(tmp_path, run_of(scenario(qps=1000), block_of(SECONDS, slow, qps=1e3)))
    assert fields(summary)["Result is"] == "INVALID"
    assert fields(summary)["Performance constraints satisfied"] == "NO"
    assert found["result_overlatency_query_count"]["value"] == 400
    assert "Reduce target QPS" in found["result_invalid_reason"]["value"]
    few = block_of(SECONDS[:400], np.full(400, 10**6), qps=1e3)
    summary, _ = written(tmp_path, run_of(scenario(qps=1000), few))
    assert fields(summary)["Min duration satisfied"] == "NO"
    assert fields(summary)["Min queries satisfied"] == "Yes"
    assert fields(summary)["Early stopping satisfied"] == "NO"
    assert " * Would need to run at least 59 more queries," in summary


def test_a_query_without_an_answer_is_an_error_and_never_valid(tmp_path):
    block = block_of(SECONDS, np.full(20_000, 10**6), qps=1e3)
    done_ns = block.done_ns.copy()
    done_ns[7] = -1
    summary, found = written(tmp_path, run_of(scenario(qps=1000), replace(block, done_ns=done_ns)))
    assert fields(summary)["Result is"] == "INVALID"
    assert fields(summary)["Max latency (ns)"] == str(block.wall_ns - 7_000_000)
    assert "1 ERROR encountered" in summary
    assert found["error_runtime"]["metadata"]["is_error"]
    assert found["num_errors"]["value"] == 1


def test_what_was_not_measured_has_no_logs(tmp_path):
    assert mlperf.write(run_of(scenario(qps=100)), tmp_path) == mlperf.Written(())
    assert list(tmp_path.iterdir()) == []


MS = 1_000_000
LEFT_OUT = mlperf.Written((), ("ctr: onnxruntime/fp32/1x2",))


def at(qps, latency_ms, count=2_000):
    return block_of(np.arange(count) * int(1e9 / qps), np.full(count, int(latency_ms * MS)), qps=qps)


def closed(service_ms):
    return block_of(np.arange(500) * MS, np.full(500, int(service_ms * MS)), "closed")


def numbers_of(tmp_path, record):
    summary, found = written(tmp_path, record)
    mine = fields(summary)
    return float(mine["target_qps"]), int(mine["Max latency (ns)"]) / MS, found["result_query_count"]["value"]


def test_where_capacity_is_asked_for_the_last_rounds_rate_is_the_test(tmp_path):
    asked = scenario(qps="max")
    record = run_of(asked, at(200, 3), at(220, 4), at(220, 5), screen=[closed(1)], probes=[at(220, 90), at(400, 200)])
    assert numbers_of(tmp_path, record) == (220.0, 5.0, 4_000)


def test_without_rounds_it_is_the_highest_rate_that_passed_else_the_most_played(tmp_path):
    probes = [at(400, 200), at(100, 2), at(200, 3), at(400, 210)]
    assert numbers_of(tmp_path, run_of(scenario(qps="max"), screen=[closed(1)], probes=probes)) == (200.0, 3.0, 2_000)
    probes = [at(800, 500), at(400, 200), at(400, 210)]
    assert numbers_of(tmp_path, run_of(scenario(qps="max"), screen=[closed(1)], probes=probes)) == (400.0, 210.0, 4_000)


@pytest.mark.parametrize("kind", ["server", "constant", "burst"])
def test_who_was_never_under_the_asked_load_is_left_out_by_name(tmp_path, kind):
    assert mlperf.write(run_of(scenario(kind, qps="max"), screen=[closed(1), closed(2)]), tmp_path) == LEFT_OUT
    assert mlperf.write(run_of(scenario(qps=100), screen=[closed(1)], probes=[at(200, 3)]), tmp_path) == LEFT_OUT
    assert list(tmp_path.iterdir()) == []


def test_what_found_the_capacity_at_other_rates_counts_for_nothing(tmp_path):
    probes = [at(400, 200), at(150, 2)]
    assert numbers_of(tmp_path, run_of(scenario(qps=100), at(100, 7), probes=probes)) == (100.0, 7.0, 2_000)
    assert numbers_of(tmp_path, run_of(scenario(qps=100), screen=[at(100, 8)], probes=probes)) == (100.0, 8.0, 2_000)


def test_a_batchers_joined_screen_is_no_part_of_a_closed_test(tmp_path):
    _, found = written(tmp_path, run_of(scenario("single_stream"), screen=[closed(1), closed(9)]))
    assert found["result_query_count"]["value"] == 500
    assert found["result_max_latency_ns"]["value"] == MS


def test_arrivals_all_at_once_last_as_long_as_their_rate_says(tmp_path):
    summary, _ = written(tmp_path, run_of(scenario(qps=100), block_of([0], [MS], qps=100.0)))
    assert fields(summary)["Scheduled samples per second"] == "0.00"
    summary, _ = written(tmp_path, run_of(scenario(qps=100), block_of([0] * 50, [MS] * 50, qps=100.0)))
    assert float(fields(summary)["Scheduled samples per second"]) == pytest.approx(98)
