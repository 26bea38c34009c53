"""Nights of one candidate with extra work, as results/evidence/slowdowns.csv holds them.

A line is a night: `at` (when it ended, ISO 8601, UTC), `cpu`, `benchmark`, `slower` (the extra work as a fraction; 0:
none, an earlier night that gives the spread), `status`, `change` and `mde` (as `bakeoff check` prints them, fractions;
empty where there is none), and `screen` and `confirm`: the log changes of both stages' sessions, separated by spaces.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from bakeoff.decide.drift.answers import SERVICE_TIME, Answer, Figure, Session, Stage

FILE = Path("results/evidence/slowdowns.csv")
STAGES: tuple[Stage, ...] = ("screen", "confirm")


@dataclass(frozen=True, slots=True)
class Trial:
    """One night's answer on service time, and its sessions by stage."""

    at: datetime
    cpu: str
    benchmark: str
    slower: float
    status: str
    change: float | None
    mde: float | None
    screen: tuple[float, ...]
    confirm: tuple[float, ...]

    @classmethod
    def of(cls, answer: Answer, cpu: str, slower: float) -> Self:
        """A night that ended now."""
        figure: Figure = next(each for each in answer.figures if each.metric == SERVICE_TIME)
        played = answer.sessions
        stages = (tuple(each.changes[SERVICE_TIME] for each in played if each.stage == stage) for stage in STAGES)
        return cls(datetime.now(UTC), cpu, answer.benchmark, slower, answer.status, figure.change, figure.mde, *stages)

    @property
    def sessions(self) -> list[Session]:
        """What a later night knows of this one."""
        staged = zip(STAGES, (self.screen, self.confirm), strict=True)
        return [Session(stage, n, {SERVICE_TIME: each}) for stage, part in staged for n, each in enumerate(part, 1)]


def read(file: Path) -> list[Trial]:
    """All nights of a file, none where there is no file."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return [_trial(row) for row in csv.DictReader(lines)]


def _trial(row: Mapping[str, str]) -> Trial:
    at, slower = datetime.fromisoformat(row["at"]), float(row["slower"])
    change, mde = (float(row[name]) if row[name] else None for name in ("change", "mde"))
    stages = (tuple(map(float, row[stage].split())) for stage in STAGES)
    return Trial(at, row["cpu"], row["benchmark"], slower, row["status"], change, mde, *stages)


def append(file: Path, trial: Trial) -> None:
    """A night's line, on disk when it returns; the first makes the file."""
    new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if new:
            writer.writerow(field.name for field in fields(Trial))
        figures = ("" if each is None else f"{each:.6g}" for each in (trial.change, trial.mde))
        stages = (" ".join(f"{each:.6g}" for each in stage) for stage in (trial.screen, trial.confirm))
        at = trial.at.isoformat(timespec="seconds")
        writer.writerow([at, trial.cpu, trial.benchmark, trial.slower, trial.status, *figures, *stages])
