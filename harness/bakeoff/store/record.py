"""What a run, or a night's check, left behind, as immutable values: raw stamps and facts, nothing derived.

A loaded run is what `decide` judges and `show` draws. Blocks stay compressed until asked for, so that a long run's
record is small in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bakeoff.candidates import Candidate

if TYPE_CHECKING:
    from bakeoff.measure.block import Block

SCREEN_ROUND = 0
"""The round number of blocks measured alone, before the interleaved rounds 1, 2, 3 ..."""
CAPACITY_ROUND = -1
"""The round number of blocks at other rates than the one asked for, which bracket the capacity."""

OK = "ok"

NOISE = "noise"
"""Where the host's facts hold the looks at its noise: a list of what `host.noise` gave, each with its "when"."""
FILES = "files"
"""Where a workload's facts hold the digest of the person's own files, by which another host's run knows it again."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One stage a candidate went through: where it ended, why, how long it took, and what reproduces it."""

    stage: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    command: str = ""
    at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quality:
    """One ranking metric of a candidate against the base model's fp32 answers on the same held-out examples.

    `delta` is value minus base, both in the metric's own units; `low` and `high` bound it with 95 % confidence. A
    figure that could not be computed is NaN and passes no gate. `examples` counts what was averaged: rows, or groups.
    """

    metric: str
    value: float
    base: float
    delta: float
    low: float
    high: float
    examples: int
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """Where a block belongs, and how to get at its stamps."""

    round: int
    position: int
    fetch: Callable[[], Block] = field(repr=False, compare=False)

    @property
    def block(self) -> Block:
        """The stamps, decoded anew each time: keep what you derive from them, not them."""
        return self.fetch()


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """One candidate's whole story in a run."""

    candidate: Candidate
    facts: Mapping[str, Any] = field(default_factory=dict)
    ledger: tuple[LedgerRow, ...] = ()
    blocks: tuple[BlockRecord, ...] = ()
    quality: tuple[Quality, ...] = ()

    @property
    def id(self) -> str:
        """The candidate's stable id."""
        return self.candidate.id

    def row(self, stage: str) -> LedgerRow | None:
        """The last ledger row of a stage, None where it was not reached."""
        return next((row for row in reversed(self.ledger) if row.stage == stage), None)

    @property
    def failure(self) -> LedgerRow | None:
        """The last ledger row where it did not end well (a resumed run may have repaired an earlier one)."""
        return self.ledger[-1] if self.ledger and self.ledger[-1].outcome != OK else None


@dataclass(frozen=True, slots=True)
class ScenarioRecord:
    """One scenario of a run: the question as asked, the workload's facts, and the candidates in the order planned."""

    name: str
    definition: Mapping[str, Any]
    workload: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[CandidateRecord, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything one run left. `status` is "running" until it ended, then "finished", "stopped" or "failed".

    `host` and `environment` are what measure/host.py gave, and `noise` the looks at the machine before and after.
    """

    run: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    command: str
    host: Mapping[str, Any]
    environment: Mapping[str, Any]
    budget_s: float | None
    seed: int
    scenarios: tuple[ScenarioRecord, ...] = ()

    @property
    def packages(self) -> Mapping[str, str]:
        """The versions of what was installed; the first runs recorded nothing else of their environment."""
        packages: Mapping[str, str] = self.environment.get("packages", self.environment)
        return packages

    @property
    def noise(self) -> Sequence[Mapping[str, Any]]:
        """The looks at the machine's noise, each with its "when", in order."""
        looks: Sequence[Mapping[str, Any]] = self.host.get(NOISE, ())
        return looks


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A fresh process of a baseline beside one of what was there that night: `stage` "screen" or "confirm", `number`
    counts within a benchmark's stage. `changes` holds log ratios by metric, `baseline` and `now` both sides' figures.
    `stored` says that the baseline did not run: its stored figures stood in.
    """

    scenario: str
    candidate: str
    stage: str
    number: int
    changes: Mapping[str, float]
    baseline: Mapping[str, float] = field(default_factory=dict)
    now: Mapping[str, float] = field(default_factory=dict)
    at: datetime | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What was said of a benchmark, as it was judged that night: JSON that decide/drift/kept.py makes and reads."""

    scenario: str
    candidate: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NightRecord:
    """Everything one check left. `status` is "running" until it ended, then "finished" or "stopped".

    `pins` maps a scenario to its pin's digest, `packages` and `host` are what measure/host.py gave, `plan` is the
    budget as it was stated beforehand, a line each.
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
    sessions: tuple[SessionRecord, ...] = ()
    answers: tuple[AnswerRecord, ...] = ()
