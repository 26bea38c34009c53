"""What a night's check found, as values. Everything is worse by a positive change, better by a negative one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Stage = Literal["screen", "confirm"]
Status = Literal["regression", "missing", "inconclusive", "improved", "ok"]
EXITS: Mapping[Status, int] = {"regression": 1, "missing": 2, "inconclusive": 3, "improved": 0, "ok": 0}
"""By status, the worst first."""
NOT_DONE = 2
"""The exit code of a check that could not be done."""

SERVICE_TIME, P99, CAPACITY, MEMORY, LOAD_TIME = "service_time", "p99", "capacity", "memory", "load_time"
QUALITY, ARTIFACT_SIZE = "quality", "artifact_size"
MEASURED = (SERVICE_TIME, P99, CAPACITY, MEMORY, LOAD_TIME)
"""The metrics that a session gives; each is worse where its log ratio is above 0."""

NOT_FOUND = "not found: "
"""What a culprit's text begins with where a bisection names none."""


def fraction(metric: str, change: float) -> float:
    """A log change as a fraction of the baseline's: 0.05 is 5 % slower, larger, or 5 % less capacity."""
    return -math.expm1(-change) if metric == CAPACITY else math.expm1(change)


def log_change(metric: str, part: float) -> float:
    """The other way round."""
    return -math.log1p(-part) if metric == CAPACITY else math.log1p(part)


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh process of the baseline beside a fresh one of what is here now.

    `changes` holds the metrics' log ratios, above 0 where now is worse; `baseline` and `now` hold both sides' figures
    in the metric's own unit (seconds, requests/s, bytes). `stored` says that stored figures stood in for the baseline.
    """

    stage: Stage
    number: int
    changes: Mapping[str, float]
    baseline: Mapping[str, float] = field(default_factory=dict)
    now: Mapping[str, float] = field(default_factory=dict)
    at: datetime | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of a benchmark, now beside its baseline.

    `change` is a fraction of the baseline's (0.05: 5 % slower, larger, or 5 % less capacity); of "quality:METRIC" the
    loss in the metric's own units. `low` and `high` bound it with 99 % confidence (quality: see qualities.py), `mde` is
    the smallest change that so many sessions find in four of five cases; None where too few were measured. `gate` is
    the practical threshold of a metric that decides, None of one that is only reported.
    """

    metric: str
    status: Status
    change: float | None = None
    low: float | None = None
    high: float | None = None
    mde: float | None = None
    sessions: int = 0
    gate: float | None = None
    baseline: float | None = None
    now: float | None = None
    unit: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the night says of one benchmark: a candidate in a scenario.

    `culprit` names what a bisection found, such as "onnxruntime 1.30.0 -> 1.31.1", or says why it found none. `stored`
    says that the baseline could not be run and its stored figures stood in, with wider bounds. `versions` are those
    that it ran on, by package, where they are known.
    """

    scenario: str
    candidate: str
    status: Status
    figures: tuple[Figure, ...] = ()
    reason: str = ""
    culprit: str = ""
    stored: bool = False
    sessions: tuple[Session, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def benchmark(self) -> str:
        """Such as "ctr-ranking: onnxruntime/fp32/1x1"."""
        return f"{self.scenario}: {self.candidate}"

    @property
    def blamed(self) -> str:
        """The culprit where a bisection found it."""
        return "" if self.culprit.startswith(NOT_FOUND) else self.culprit


@dataclass(frozen=True, slots=True)
class Night:
    """One check. `pins` maps a scenario to its pin's digest, and may map a benchmark's name to that of its own part of
    the pin; `packages` holds the versions here now.

    `plan` is the budget as it was stated beforehand, a line each; `status` is "running" until it ended, then "finished"
    or "stopped".
    """

    night: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    command: str
    pins: Mapping[str, str]
    packages: Mapping[str, str]
    host: Mapping[str, Any]
    plan: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def worst(self) -> Status:
        """The worst status of all benchmarks; "missing" where there is none."""
        found = {answer.status for answer in self.answers}
        return next((status for status in EXITS if status in found), "missing")

    @property
    def exit_code(self) -> int:
        """0 ok, 1 regression, 2 the check could not be done, 3 inconclusive."""
        return EXITS[self.worst]
