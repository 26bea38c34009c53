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
    """The lower quartile of one benchmark's service times, in seconds.

    What we wrote also has the `load` under which they were taken (measure/lane.py: LOAD is what `pytest --bakeoff`
    does; those of another load are longer or shorter for that alone) and `host`, our id of the machine; `cpu` is the
    CPU's name, and `cores` how many there are. Empty (0) where the file does not say.
    """

    q1: float
    load: str = ""
    host: str = ""
    cpu: str = ""
    cores: int = 0


def read_pytest_benchmark(path: Path) -> dict[str, StoredFigures]:
    """The figures of each benchmark, ours by "SCENARIO: CANDIDATE" and others by their full names.

    Raises UserError, in one line, for a file that is not there, is none of pytest-benchmark's, or holds no figure.
    """
    document = _read(path)
    benchmarks = document.get("benchmarks")
    if not isinstance(benchmarks, list):
        raise UserError(f"{path}: is no file of pytest-benchmark: it has no list of benchmarks")
    machine = _mapping(document.get("machine_info"))
    found: dict[str, StoredFigures] = {}
    for number, benchmark in enumerate(benchmarks, start=1):
        name = _name(_mapping(benchmark))
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}: benchmark {number}: has no fullname")
        if name in found:
            raise UserError(f"{path}: {name}: is there twice")
        found[name] = _figures(f"{path}: {name}", benchmark, machine)
    if not found:
        raise UserError(f"{path}: holds no benchmark")
    return found


def _name(benchmark: Mapping[str, Any]) -> Any:
    return _mapping(benchmark.get("extra_info")).get("benchmark") or benchmark.get("fullname")


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
    more = _mapping(benchmark.get("extra_info"))
    told = {name: str(more.get(name) or "") for name in ("load", "host")}
    cpu = _mapping(machine.get("cpu"))
    name, cores = str(cpu.get("brand_raw") or ""), cpu.get("count")
    known = cores if isinstance(cores, int) and not isinstance(cores, bool) else 0
    return StoredFigures(q1, **told, cpu=name, cores=known)


def _seconds(where: str, stats: Mapping[str, Any], name: str) -> float:
    value = stats.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise UserError(f"{where}: stats.{name}: {value!r} is no time")
    return float(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
