"""Sessions of the same thing beside itself, as results/evidence/aa.csv holds them.

A line is a session: `benchmark`, `session` (a number), `at` (when it ended, ISO 8601, UTC), `d` (the session's log
change, as `bakeoff check` takes it: the median over pairs of blocks of the log ratio of their quartiles), and
`baseline_us` and `now_us`: the service times of all calls of each side in microseconds, in order, separated by spaces.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
COLUMNS = ("benchmark", "session", "at", "d", "baseline_us", "now_us")


@dataclass(frozen=True, slots=True)
class Together:
    """One session: its log change, and the service times of both sides."""

    at: datetime
    change: float
    baseline: Floats
    now: Floats


Recorded = Mapping[str, Sequence[Together]]
"""The sessions by benchmark."""


def read(file: Path) -> Recorded:
    """All sessions of a file. A figure that is none ends it, with the line: evidence has no holes."""
    found: dict[str, list[Together]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            session = _session(row)
            if not (np.isfinite(session.change) and _sound(session.baseline) and _sound(session.now)):
                raise SystemExit(f"{file}:{number}: a session without a figure")
            found.setdefault(row["benchmark"], []).append(session)
    return found


def _session(row: Mapping[str, str]) -> Together:
    sides = (np.array(row[side].split(), np.float64) for side in ("baseline_us", "now_us"))
    return Together(datetime.fromisoformat(row["at"]), float(row["d"]), *sides)


def _sound(times: Floats) -> bool:
    return len(times) > 0 and bool(np.isfinite(times).all() and times.min() > 0.0)


def append(file: Path, benchmark: str, number: int, session: Together) -> None:
    """A session's line, on disk when it returns; the first makes the file."""
    new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        if new:
            writer.writerow(COLUMNS)
        times = (" ".join(f"{each:.5g}" for each in side) for side in (session.baseline, session.now))
        writer.writerow([benchmark, number, session.at.isoformat(timespec="seconds"), f"{session.change:.9g}", *times])
