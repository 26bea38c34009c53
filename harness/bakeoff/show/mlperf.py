"""A run in the log format of MLPerf LoadGen, for those who read such logs: a folder for each candidate.

`mlperf_log_summary.txt` has the lines that LoadGen 6 writes, `mlperf_log_detail.txt` its MLLOG lines. All rounds of a
candidate at one rate count as one test; VALID means what it means there (LoadGen's default minima and its early
stopping), which is not our verdict.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bakeoff.scenario import Scenario, restore
from bakeoff.show.mlperf_figures import LoadGenTest, tests_of
from bakeoff.show.writable import writing_into
from bakeoff.store.record import RunRecord

SUMMARY, DETAIL = "mlperf_log_summary.txt", "mlperf_log_detail.txt"
_RULE = "================================================"
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class Written:
    """The folders of those with logs, and "SCENARIO: CANDIDATE" of those with no block under its load."""

    folders: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


def write(record: RunRecord, folder: Path) -> Written:
    """Write the logs of every measured candidate to folder/SCENARIO/CANDIDATE."""
    written: list[Path] = []
    left_out: list[str] = []
    for one in record.scenarios:
        scenario = restore(dict(one.definition))
        for candidate, test in tests_of(one, scenario):
            if test is None:
                left_out.append(f"{one.name}: {candidate}")
                continue
            place = folder / _safe(one.name) / _safe(candidate)
            with writing_into(place):
                (place / SUMMARY).write_text(summary(test, candidate), encoding="utf-8")
                (place / DETAIL).write_text(detail(test, candidate, record.started_at, scenario), encoding="utf-8")
            written.append(place)
    return Written(tuple(written), tuple(left_out))


def summary(test: LoadGenTest, name: str) -> str:
    """What LoadGen's summary says of such a test, line by line."""
    lines = [_RULE, "MLPerf Results Summary", _RULE]
    lines += [f"SUT name : {name}", f"Scenario : {test.kind}", "Mode     : PerformanceOnly", _headline(test)]
    lines.append(f"Result is : {'VALID' if test.valid else 'INVALID'}")
    if test.kind == "Server":
        lines.append(f"  Performance constraints satisfied : {_yes(test.fast_enough)}")
    lines += [
        f"  Min duration satisfied : {_yes(test.long_enough)}",
        f"  Min queries satisfied : {_yes(test.many_enough)}",
        f"  Early stopping satisfied: {_yes(test.stopped_early)}",
    ]
    if not test.valid:
        lines += ["Recommendations:", *(f" * {advice}" for advice in test.advice)]
    if test.kind != "Offline":
        lines += ["Early Stopping Result:", test.early_stopping]
    lines += ["", _RULE, "Additional Stats", _RULE, *_stats(test)]
    lines += ["", _RULE, "Test Parameters Used", _RULE, *(f"{key}: {value}" for key, value in _parameters(test))]
    return "\n".join([*lines, "", "No warnings encountered during test.", "", _errors(test), ""])


def detail(test: LoadGenTest, name: str, began: datetime, scenario: Scenario) -> str:
    """What LoadGen's detailed log says of such a test; who wrote it stands where LoadGen's version would."""
    values: dict[str, Any] = {
        "loadgen_version": f"bakeoff {version('bakeoff')}",
        "test_datetime": began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sut_name": name,
        "requested_scenario": test.kind,
        "requested_test_mode": "PerformanceOnly",
        "effective_scenario": test.kind,
        "effective_test_mode": "PerformanceOnly",
        "effective_samples_per_query": test.samples_per_query,
        "effective_target_qps": test.target_qps,
        "effective_target_latency_ns": test.limit_ns,
        "effective_target_latency_percentile": test.share,
        "effective_min_duration_ms": test.min_duration_ms,
        "effective_min_query_count": test.min_queries,
        "effective_schedule_rng_seed": scenario.seed,
        "generic_message": f"{test.blocks} blocks of {scenario.traffic.kind} traffic, put together",
        "generated_query_count": test.queries,
        "generated_samples_per_query": test.samples_per_query,
        **_results(test),
    }
    lines = [_mllog(key, value, 0.0) for key, value in values.items()]
    if test.unanswered:
        message = f"{test.unanswered} queries were not answered; they count with the time they were waited for"
        lines.append(_mllog("error_runtime", message, test.all_done_s, is_error=True))
    return "\n".join([*lines, _mllog("num_errors", int(test.unanswered > 0), test.all_done_s), ""])


def _results(test: LoadGenTest) -> dict[str, Any]:
    kind = test.kind
    values: dict[str, Any] = {"result_validity": "VALID" if test.valid else "INVALID"}
    if kind == "Server":
        values["result_perf_constraints_met"] = test.fast_enough
    values |= {
        "result_min_duration_met": test.long_enough,
        "result_min_queries_met": test.many_enough,
        "early_stopping_met": test.stopped_early,
    }
    if not test.valid:
        values["result_invalid_reason"] = " ".join(test.advice)
    values |= {"early_stopping_result": test.early_stopping.replace("\n", " "), "result_query_count": test.queries}
    if kind == "Server":
        values |= {
            "result_overlatency_query_count": test.over,
            "result_scheduled_samples_per_sec": test.scheduled_qps,
            "result_completed_samples_per_sec": test.completed_qps,
        }
    elif kind == "SingleStream":
        values["result_qps_with_loadgen_overhead"] = test.completed_qps
        values["result_qps_without_loadgen_overhead"] = 1e9 / test.mean_ns
    elif kind == "Offline":
        values["result_samples_per_second"] = test.samples / test.all_done_s
    query = "query_" if kind == "MultiStream" else ""
    for which in ("min", "max", "mean"):
        values[f"result_{which}_{query}latency_ns"] = getattr(test, f"{which}_ns")
    per_query = "_per_query" if kind == "MultiStream" else ""
    return values | {f"result_{name}_percentile{per_query}_latency_ns": ns for name, ns in test.percentiles_ns.items()}


def _headline(test: LoadGenTest) -> str:
    if test.kind == "Server":
        return f"Completed samples per second    : {test.completed_qps:.2f}"
    if test.kind == "Offline":
        return f"Samples per second: {test.samples / test.all_done_s:g}"
    return f"{test.share * 100:.1f}th percentile latency (ns) : {test.tail_ns}"


def _stats(test: LoadGenTest) -> list[str]:
    lines = []
    if test.kind == "Server":
        lines.append(f"Scheduled samples per second : {test.scheduled_qps:.2f}")
    elif test.kind == "SingleStream":
        lines.append(f"QPS w/ loadgen overhead         : {test.completed_qps:.2f}")
        lines += [f"QPS w/o loadgen overhead        : {1e9 / test.mean_ns:.2f}", ""]
    elif test.kind == "MultiStream":
        lines.append("Per-query latency:  ")
    lines += [
        f"Min latency (ns)                : {test.min_ns}",
        f"Max latency (ns)                : {test.max_ns}",
        f"Mean latency (ns)               : {test.mean_ns}",
    ]
    return lines + [f"{name} percentile latency (ns)   : {ns}" for name, ns in test.percentiles_ns.items()]


def _parameters(test: LoadGenTest) -> list[tuple[str, str]]:
    return [
        ("samples_per_query ", str(test.samples_per_query)),
        ("target_qps ", f"{test.target_qps:g}"),
        ("target_latency (ns)", str(test.limit_ns)),
        ("max_async_queries ", "0"),
        ("min_duration (ms)", str(test.min_duration_ms)),
        ("max_duration (ms)", "0"),
        ("min_query_count ", str(test.min_queries)),
        ("max_query_count ", "0"),
    ]


def _errors(test: LoadGenTest) -> str:
    return "1 ERROR encountered. See detailed log." if test.unanswered else "No errors encountered during test."


def _mllog(key: str, value: Any, at_s: float, is_error: bool = False) -> str:
    metadata: Mapping[str, Any] = {
        "is_error": is_error,
        "is_warning": False,
        "file": "bakeoff",
        "line_no": 0,
        "pid": os.getpid(),
        "tid": os.getpid(),
    }
    line = {
        "key": key,
        "value": value,
        "time_ms": round(at_s * 1e3, 6),
        "namespace": "mlperf::logging",
        "event_type": "POINT_IN_TIME",
        "metadata": metadata,
    }
    return f":::MLLOG {json.dumps(line)}"


def _yes(met: bool) -> str:
    return "Yes" if met else "NO"


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip(".-") or "candidate"
