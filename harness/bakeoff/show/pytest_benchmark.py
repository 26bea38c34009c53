"""A stored run in pytest-benchmark's schema, which its `compare`, its histograms and `bakeoff check` read.

A round there is a request here: its service time on a lane, from the call of the engine to the answer. `pytest
--bakeoff` times the same span in a closed loop of one lane; what was timed under another load, as the open loop of a
scenario with a rate, says so in its name, so that nobody sets one beside the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np

from bakeoff.decide import stamps
from bakeoff.decide.judgement import Verdict
from bakeoff.measure.block import Block
from bakeoff.measure.lane import LOAD
from bakeoff.scenario import Traffic, restore
from bakeoff.store.percentile import Floats
from bakeoff.store.plain import plain
from bakeoff.store.record import SCREEN_ROUND, CandidateRecord, RunRecord, ScenarioRecord

VERSION = "5.3.1"
"""The release of pytest-benchmark that writes the same."""
_FENCE = 1.5
_OPTIONS = {
    "disable_gc": True,
    "timer": "monotonic_ns",
    "min_rounds": 1,
    "max_time": 0.0,
    "min_time": 0.0,
    "precision": None,
    "confidence": None,
    "warmup": True,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The document, and "SCENARIO: CANDIDATE" of those without an answered request."""

    document: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def export(record: RunRecord, verdicts: tuple[Verdict, ...]) -> Exported:
    """Every candidate with an answered request, by the rounds that it played, or by its screening block."""
    outcomes = {(verdict.scenario, each.candidate): each.outcome for verdict in verdicts for each in verdict.candidates}
    host = str(record.host.get("host", ""))
    benchmarks: list[dict[str, Any]] = []
    left_out: list[str] = []
    for scenario in record.scenarios:
        traffic = restore(dict(scenario.definition)).traffic
        for candidate in scenario.candidates:
            blocks = _blocks(candidate)
            times_s = np.asarray(stamps.joined([stamps.service_s(block) for block in blocks]), dtype=np.float64)
            if len(times_s):
                facts = {
                    "load": _load(blocks[0], traffic),
                    "host": host,
                    "outcome": outcomes.get((scenario.name, candidate.id), ""),
                }
                benchmarks.append(_benchmark(scenario, candidate, times_s, facts))
            else:
                left_out.append(f"{scenario.name}: {candidate.id}")
    document = {
        "machine_info": dict(_machine(record)),
        "commit_info": _commit(record),
        "benchmarks": benchmarks,
        "datetime": record.started_at.astimezone(UTC).isoformat(),
        "version": VERSION,
    }
    return Exported(plain(document), tuple(left_out))


def statistics(times_s: Floats) -> dict[str, Any]:
    """pytest-benchmark's statistics of at least one time, by its definitions; its quartiles are Hazen's."""
    rounds, total, mean = len(times_s), float(times_s.sum()), float(times_s.mean())
    q1, median, q3 = (float(value) for value in np.quantile(times_s, [0.25, 0.5, 0.75], method="hazen"))
    stddev = float(times_s.std(ddof=1)) if rounds > 1 else 0.0
    low, high = q1 - _FENCE * (q3 - q1), q3 + _FENCE * (q3 - q1)
    within = times_s[(times_s >= low) & (times_s <= high)]
    far = int(((times_s < mean - stddev) | (times_s > mean + stddev)).sum())
    return {
        "min": float(times_s.min()),
        "max": float(times_s.max()),
        "mean": mean,
        "stddev": stddev,
        "rounds": rounds,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": rounds - len(within),
        "stddev_outliers": far,
        "outliers": f"{far};{rounds - len(within)}",
        "ld15iqr": float(within.min()),
        "hd15iqr": float(within.max()),
        "ops": rounds / total if total else 0.0,
        "total": total,
        "iterations": 1,
    }


def _blocks(candidate: CandidateRecord) -> list[Block]:
    rounds = [each for each in candidate.blocks if each.round > SCREEN_ROUND]
    chosen = rounds or [each for each in candidate.blocks if each.round == SCREEN_ROUND]
    return stamps.busy([each.block for each in chosen])


def _load(block: Block, traffic: Traffic) -> str:
    lanes = int(block.facts.get("lanes", 1))
    if block.kind == "open":
        return "open loop"
    if traffic.kind == "multi_stream":
        return f"closed loop, {traffic.samples_per_query} requests a call"
    return LOAD if lanes == 1 else f"closed loop, {lanes} lanes"


def _benchmark(
    scenario: ScenarioRecord, record: CandidateRecord, times_s: Floats, facts: Mapping[str, str]
) -> dict[str, Any]:
    candidate = record.candidate
    parts = {name: getattr(candidate, name) for name in ("backend", "precision", "variant", "device")}
    benchmark, behind = f"{scenario.name}: {candidate.id}", "" if facts["load"] == LOAD else f" ({facts['load']})"
    return {
        "group": scenario.name,
        "name": candidate.id + behind,
        "fullname": benchmark + behind,
        "params": parts | {"setting": candidate.setting.name},
        "param": candidate.id,
        "extra_info": {"benchmark": benchmark, "version": record.facts.get("version", ""), **facts},
        "options": _OPTIONS,
        "stats": statistics(times_s),
    }


def _machine(record: RunRecord) -> Iterator[tuple[str, Any]]:
    """pytest-benchmark's facts of a machine, as far as a run has them; its id stands where the name of one would."""
    host = record.host
    yield "node", host.get("host", "")
    yield "processor", host.get("machine", "")
    yield "machine", host.get("machine", "")
    yield "python_version", record.environment.get("python", "")
    yield "release", host.get("kernel", "")
    yield "system", "Linux"
    flags = list(host.get("cpu_flags", ()))
    yield "cpu", {"brand_raw": host.get("cpu", ""), "count": host.get("cores"), "flags": flags}


def _commit(record: RunRecord) -> dict[str, Any]:
    commit, dirty, _ = str(record.environment.get("git_commit") or "unversioned").partition("-dirty")
    return {
        "id": commit,
        "time": None,
        "author_time": None,
        "dirty": bool(dirty),
        "project": f"bakeoff run {record.run}",
        "branch": "(unknown)",
    }
