"""The answer: a verdict per scenario, a judgement per candidate. Absent figures are None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bakeoff.backends import Option
from bakeoff.scenario.model import Objective
from bakeoff.store.record import OK, Quality

VerdictName = Literal["WIN", "TIE", "INFEASIBLE", "INSUFFICIENT"]
Answer = Literal["STAY", "SWITCH"]
Then = Literal["wins", "ties", "leads", "loses", "passes", "fails", "settles"]
"""What follows where something else is asked: see Remedy."""
NO_FAILURE = frozenset({OK, "eliminated", "undecided", "not-reached", "over-budget"})
"""Outcomes that are no fault of the candidate's: `over-budget` is that of the run's time."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much cheaper a variant is than `over`, the base that is served alike (None: no candidate), as a fraction.

    "none": the interval holds no gain, or it is smaller than what matters. Where too few rounds had both, it is told
    `by` their screening blocks: one of each, so without an interval, which establishes nothing, and "none" unless they
    are clearly apart.
    "not compared": one of them has no cost there either.
    """

    over: str | None
    outcome: Literal["gain", "none", "not compared"]
    by: Literal["rounds", "screen"] | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would let a candidate pass the gate that it missed, or win: `what` at `needed` in place of `asked`, both in
    `unit` (asked None: there is no such value).

    `then` says what follows: it "wins" among all that would pass there; it "leads", and the rounds would have to tell;
    it "ties"; it "loses", `dearer` (a fraction) than the choice, or to another that would pass too (None); it "passes",
    and nobody can say more; it "fails" another gate; and more time "settles" what is open. `words` lack their subject.
    """

    what: str
    unit: str
    asked: float | None
    needed: float
    then: Then
    words: str
    dearer: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate's figures and fate.

    `stage` and `outcome` say where and how it ended (design.md's list); `reason` is the one sentence on why it was not
    chosen, empty for the choice. `p99_*` hold the SLA's own percentile, `percentile` (in per cent). `cost` is in the
    verdict's `cost_unit` for a million items; `replicas` carry the shop's peak with headroom and spare ones, and cost
    `hourly_cost`. `score` is what the scenario's objective counts, in the verdict's `score_unit`. Where
    `capacity_measured`, the capacity's ends are the highest rate that passed and the lowest that failed (None: none
    did); else it was replayed from service times. `headroom` is its fraction above the rate asked for.
    `preparation_share` is a fraction of the service time, where requests include their preparation.
    A `remote` one is a server elsewhere: no CPU, memory, start or size of it can be seen. `client_ms` is the median
    that its client takes for a request by itself, which every latency includes.
    `requests` and `rounds` count what the figures rest on. `gain` is None for the base. `remedies` are what would have
    to change; empty for the choice, and where the record does not tell.
    """

    candidate: str
    backend: str
    variant: str
    precision: str
    setting: str
    device: str
    stage: str
    outcome: str
    reason: str = ""
    percentile: float = 99.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    p99_low_ms: float | None = None
    p99_high_ms: float | None = None
    offered_qps: float | None = None
    capacity_qps: float | None = None
    capacity_low_qps: float | None = None
    capacity_high_qps: float | None = None
    capacity_measured: bool = False
    headroom: float | None = None
    cpu_ms_per_request: float | None = None
    items_per_s: float | None = None
    preparation_share: float | None = None
    cost: float | None = None
    cost_low: float | None = None
    cost_high: float | None = None
    score: float | None = None
    score_low: float | None = None
    score_high: float | None = None
    cost_per_million_requests: float | None = None
    replicas: int | None = None
    hourly_cost: float | None = None
    yearly_cost: float | None = None
    memory_bytes: float | None = None
    load_s: float | None = None
    build_s: float | None = None
    artifact_bytes: float | None = None
    requests: int = 0
    rounds: int = 0
    trusted: bool = True
    trust_notes: tuple[str, ...] = ()
    quality: Mapping[str, Quality] = field(default_factory=dict)
    rank: int | None = None
    gain: Gain | None = None
    settings: Mapping[str, Option] = field(default_factory=dict)
    reproduce: str = ""
    remote: bool = False
    client_ms: float | None = None
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """What a leaderboard of mean latencies would have picked, and what that pick would have cost or broken."""

    candidate: str
    mean_ms: float
    consequence: str


@dataclass(frozen=True, slots=True)
class Today:
    """The choice beside what serves today. What is unknown, or the same thing, is None.

    `saved` is how much less the choice has of what the objective counts (a fraction), `yearly_saved` what its replicas
    cost less in a year, and `sooner_ms` by how much its percentile of latency is lower; each with its interval, of two
    that were measured together. `p99_ms` is the 99th percentile that was measured of what serves today, or of the
    choice where that is no candidate, and `production_p99_ms` what production has: never of one machine.
    """

    name: str
    saved: float | None = None
    saved_low: float | None = None
    saved_high: float | None = None
    yearly_saved: float | None = None
    yearly_saved_low: float | None = None
    yearly_saved_high: float | None = None
    sooner_ms: float | None = None
    sooner_low_ms: float | None = None
    sooner_high_ms: float | None = None
    p99_ms: float | None = None
    production_p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A speed outside the band that was published (`low` None: no lower end): `candidate` is `ratio` times as fast as
    `against`. Something to check, which `sentence` tells with the usual cause."""

    name: str
    candidate: str
    against: str
    ratio: float
    low: float | None
    high: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One scenario's answer. `set` holds the ids that may be the best. `leader` is the choice, or what would be chosen
    where the evidence is not enough; where nothing leads, `nearest` came nearest to passing, of what was measured.

    `regret_high` bounds, with 97 % confidence, how much more the leader may cost than the best of those that passed
    every gate (a fraction): at most what matters, where it is a tie; `margin`
    is the fraction by which it is cheaper than the next; `more_needed_s` estimates what would settle what is open.
    """

    scenario: str
    kind: str
    description: str
    verdict: VerdictName
    provisional: bool
    choice: Judgement | None
    leader: Judgement | None
    nearest: Judgement | None
    incumbent: Judgement | None
    production: Mapping[str, Any] | None
    answer: Answer | None
    set: tuple[str, ...]
    candidates: tuple[Judgement, ...]
    headline: str
    reasons: tuple[str, ...]
    objective: Objective
    score_unit: str
    cost_unit: str
    currency: str | None
    regret_high: float | None
    margin: float | None
    more_needed_s: float | None
    leaderboard: Leaderboard | None
    sla: Mapping[str, float] | None
    traffic: Mapping[str, Any]
    fleet: Mapping[str, Any]
    floors: Mapping[str, Any]
    workload: Mapping[str, Any]
    suspicions: tuple[Suspicion, ...] = ()
    today: Today | None = None
