"""Stored figures that stand in for a baseline which cannot be run: what pytest-benchmark wrote, or we in its schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.errors import UserError


@dataclass(frozen=True, slots=True)
class StoredFigures:
    """One benchmark's service times, in seconds; `rounds` counts them. `timed` says what they are, where that is known.

    `machine` and `cpu` are the machine's id or name and its CPU's, empty where the file has none.
    """

    median: float
    q1: float
    q3: float
    iqr: float
    rounds: int
    timed: str = ""
    machine: str = ""
    cpu: str = ""


def read_pytest_benchmark(path: Path) -> dict[str, StoredFigures]:
    """The figures of each benchmark by its full name, of ours "SCENARIO: CANDIDATE".

    Raises UserError, in one line, for a file that is not there, is none of pytest-benchmark's, or holds no figure.
    """
    document = _read(path)
    benchmarks = document.get("benchmarks")
    if not isinstance(benchmarks, list):
        raise UserError(f"{path}: is no file of pytest-benchmark: it has no list of benchmarks")
    machine = _mapping(document.get("machine_info"))
    found: dict[str, StoredFigures] = {}
    for number, benchmark in enumerate(benchmarks, start=1):
        name = _mapping(benchmark).get("fullname")
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}: benchmark {number}: has no fullname")
        if name in found:
            raise UserError(f"{path}: {name}: is there twice")
        found[name] = _figures(f"{path}: {name}", benchmark, machine)
    if not found:
        raise UserError(f"{path}: holds no benchmark")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is no JSON, or half of it") from None
    if not isinstance(document, dict):
        raise UserError(f"{path}: is no file of pytest-benchmark: it has no list of benchmarks")
    return document


def _figures(where: str, benchmark: Mapping[str, Any], machine: Mapping[str, Any]) -> StoredFigures:
    stats = _mapping(benchmark.get("stats"))
    median, q1, q3 = (_seconds(where, stats, name) for name in ("median", "q1", "q3"))
    rounds = stats.get("rounds")
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
        raise UserError(f"{where}: stats.rounds: {rounds!r} is no number of rounds")
    if not q1 <= median <= q3:
        raise UserError(f"{where}: stats: q1, median and q3 are not in order")
    timed = _mapping(benchmark.get("extra_info")).get("timed")
    cpu = _mapping(machine.get("cpu")).get("brand_raw")
    return StoredFigures(
        median, q1, q3, q3 - q1, rounds, str(timed or ""), str(machine.get("node") or ""), str(cpu or "")
    )


def _seconds(where: str, stats: Mapping[str, Any], name: str) -> float:
    value = stats.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise UserError(f"{where}: stats.{name}: {value!r} is no time")
    return float(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
