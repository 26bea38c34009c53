"""The two-stage rule: no more than one night in a hundred is told of a slowdown that is none, whatever the noise.

Stage 1: SCREEN_SESSIONS sessions of each benchmark; those that look suspicious are flagged (screen.py). Stage 2, for
the R flagged pairs of benchmark and gating metric alone: `confirming(R)` fresh sessions, the exact sign-flip test on
these and nothing else (flips.py), Holm's correction at TESTED over the R. A regression is what the test confirms and
whose mean over the fresh sessions is above the metric's practical threshold.

The guarantee is the second stage's, and rests on two things: a session's change is as likely its mirror image where
both sides are the same, which the session's lots provide, and sessions do not depend on each other. Given who was
flagged, the fresh sessions are what they would have been, and Holm's correction holds under any dependence between
benchmarks. What it costs is power: see flips.py, and the minimum detectable effect of each figure (detect.py), which is
that of the whole rule, the practical threshold included. Where the noise alone, without that threshold, hides more than
MOST_MDE, "nothing found" is no "ok".

Stored figures are off by one and the same amount in all sessions of a benchmark, which no test of these sees. So their
changes count only beyond what any of the night's is off by at FAMILY, and of service times alone: how far other figures
are off is not known. In a night with stored figures that comes on top, at most two in a hundred.

An improvement is only reported, and nothing is measured anew for it: it is told by the sign-flip test on the other side
where there are fresh sessions, else by the screen's and the pooled spread, under Holm at FAMILY over all gating figures
of the night.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy import special

from bakeoff.decide.drift import figures
from bakeoff.decide.drift.answers import (
    EXITS,
    MEASURED,
    SERVICE_TIME,
    Answer,
    Figure,
    Session,
    Status,
    fraction,
)
from bakeoff.decide.drift.detect import UNLUCKY, detected
from bakeoff.decide.drift.flips import holm, sign_flip
from bakeoff.decide.drift.screen import Series, series, stored_allowance

SCREEN_SESSIONS = 3
TESTED, SCORED = 0.008, 0.002
"""What sessions may spend of FAMILY, and quality figures (qualities.py): at 0.8 % one suspect takes the eight sessions
and has the two flips that it would have at 1 %."""
FAMILY = TESTED + SCORED
"""The chance that a night, as a whole, tells of any regression that is none."""
PRACTICAL = 0.02
"""What a slowdown must be above to matter, unless the scenario says otherwise."""
MOST_MDE = 0.10
"""What the noise may hide at most where nothing found is to be ok."""
NO_TIME = "no time was left for it"

Pair = tuple[int, str]
"""A benchmark's number in the night, and the metric."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a night knows of a candidate in a scenario.

    `history` holds the sessions of earlier nights, a sequence each, the latest last. `gates` maps what decides to its
    practical threshold, a fraction ("quality": of any of its figures); `exact` holds the figures that no session gives.
    `vanished` says that it cannot be run; what has no sessions without it had no time. `reason` says why it cannot, or
    why `stored` figures stand in for the baseline. `versions` are those that it runs on now, by package.
    """

    scenario: str
    candidate: str
    sessions: tuple[Session, ...] = ()
    history: Sequence[Sequence[Session]] = ()
    gates: Mapping[str, float] = field(default_factory=lambda: {SERVICE_TIME: PRACTICAL})
    exact: tuple[Figure, ...] = ()
    reason: str = ""
    stored: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    vanished: bool = False

    def decides(self, metric: str) -> bool:
        """Whether a metric that sessions give may become a regression."""
        return metric in self.gates and (metric == SERVICE_TIME or not self.stored)

    def series(self, metric: str, allowance: float = 0.0) -> Series:
        """A metric through its sessions."""
        return series(metric, self.sessions, self.history, self.gates.get(metric), allowance)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the night's tests say of a gating figure: p of a slowdown (None where it was not flagged) and of a gain,
    both after Holm, among how many suspects."""

    slower: float | None
    faster: float
    suspects: int


def confirming(suspects: int) -> int:
    """How many fresh sessions each of so many suspects needs: two flips stay possible at the strictest level."""
    return math.ceil(math.log2(suspects / TESTED)) + 1 if suspects else 0


def suspects(benchmarks: Sequence[Benchmark]) -> tuple[Pair, ...]:
    """Who needs fresh sessions, by the screen's alone: it answers alike before and after they were measured."""
    return tuple(pair for pair, each in _gating(benchmarks).items() if each.suspicious)


def judge(benchmarks: Sequence[Benchmark]) -> tuple[Answer, ...]:
    """The whole night's answers, in order: all are one family."""
    gating = _gating(benchmarks)
    flagged = [pair for pair, each in gating.items() if each.suspicious]
    slower = dict(zip(flagged, holm([_slower(gating[pair]) for pair in flagged]), strict=True))
    faster = dict(zip(gating, holm([_faster(each) for each in gating.values()]), strict=True))
    verdicts = {pair: Verdict(slower.get(pair), faster[pair], len(flagged)) for pair in gating}
    return tuple(_answer(number, each, gating, verdicts) for number, each in enumerate(benchmarks))


def _gating(benchmarks: Sequence[Benchmark]) -> dict[Pair, Series]:
    stored = sum(each.stored and each.decides(SERVICE_TIME) for each in benchmarks)
    allowance = stored_allowance(FAMILY / stored) if stored else 0.0
    return {
        (number, metric): each.series(metric, allowance if each.stored else 0.0)
        for number, each in enumerate(benchmarks)
        for metric in MEASURED
        if each.sessions and each.decides(metric)
    }


def _slower(each: Series) -> float:
    return sign_flip([change - each.allowance for change in each.fresh]) if each.fresh else 1.0


def _faster(each: Series) -> float:
    """By the fresh sessions where there are any, else by the least gain of the screen's and the pooled spread: that all
    are so much faster. Heavy tails may bring one session, and with it a mean, and hardly all. Before the spread is
    known nothing is told: three sessions that agree by chance would seem sure."""
    if each.fresh:
        return sign_flip([-change - each.allowance for change in each.fresh])
    least = min((-change - each.allowance for change in each.screened), default=0.0)
    if not each.known or least <= 0.0:
        return 1.0
    sure = each.spread.upper(UNLUCKY)
    return float(special.stdtr(each.spread.freedom, -least / sure)) ** len(each.screened) if sure else 0.0


def _answer(
    number: int, benchmark: Benchmark, gating: Mapping[Pair, Series], verdicts: Mapping[Pair, Verdict]
) -> Answer:
    found = [
        *_measured(number, benchmark, gating, verdicts),
        *map(figures.sane, benchmark.exact),
        *figures.absent(benchmark.gates, benchmark.exact),
    ]
    deciding = [each for each in found if each.gate is not None]
    statuses: dict[Status, str] = {each.status: f"{each.metric}: {each.reason}" for each in reversed(deciding)}
    why = _why(benchmark)
    if not benchmark.sessions:
        statuses["missing" if benchmark.vanished else "inconclusive"] = why
    status: Status = next((each for each in EXITS if each in statuses), "missing")
    reason = statuses.get(status, "nothing decides it") if status != "ok" else ""
    if benchmark.sessions:
        reason = "; ".join(filter(None, [why, reason]))
    return Answer(
        benchmark.scenario,
        benchmark.candidate,
        status,
        tuple(found),
        reason,
        stored=benchmark.stored,
        sessions=benchmark.sessions,
        versions=benchmark.versions,
        seconds=benchmark.seconds,
    )


def _why(benchmark: Benchmark) -> str:
    """Its reason, and what it had no time for, unless the reason says why it has no more sessions."""
    screened = sum(session.stage == "screen" for session in benchmark.sessions)
    late = screened < SCREEN_SESSIONS and not benchmark.vanished and (benchmark.stored or not benchmark.reason)
    return "; ".join(filter(None, [benchmark.reason, NO_TIME if late else ""]))


def _measured(
    number: int, benchmark: Benchmark, gating: Mapping[Pair, Series], verdicts: Mapping[Pair, Verdict]
) -> list[Figure]:
    """The figures that sessions give: those that decide, and what else any of them measured."""
    found = []
    for metric in MEASURED if benchmark.sessions else ():
        if benchmark.decides(metric):
            figure = _decided(gating[number, metric], verdicts[number, metric], benchmark.gates[metric])
        else:
            each = benchmark.series(metric)
            if not each.deciding and not each.faults:
                continue
            figure = (
                figures.beside_stored(each, benchmark.gates.get(metric))
                if benchmark.stored
                else figures.reported(each, FAMILY)
            )
        found.append(figures.with_sides(figure, benchmark.sessions))
    return found


def _decided(each: Series, verdict: Verdict, gate: float) -> Figure:
    """A gating figure. What was not flagged would have been one suspect more, had it changed."""
    flagged = verdict.slower is not None
    among = verdict.suspects + (not flagged)
    fresh, level = len(each.fresh) if flagged else confirming(among), TESTED / among
    mde = detected(each, SCREEN_SESSIONS, fresh, level)
    hidden = detected(replace(each, threshold=0.0), SCREEN_SESSIONS, fresh, level)
    status, reason = _status(each, verdict, gate, mde, hidden)
    return replace(figures.figure(each, status, mde, reason), gate=gate)


def _status(each: Series, verdict: Verdict, gate: float, mde: float | None, hidden: float | None) -> tuple[Status, str]:
    """The first that holds, and why; `hidden` is the MDE without a practical threshold."""
    fresh, wanted, threshold = len(each.fresh), confirming(verdict.suspects), each.threshold or 0.0
    confirmed = verdict.slower is not None and verdict.slower <= TESTED
    gain = -each.estimate - each.allowance
    if not each.deciding:
        return "inconclusive" if each.halved else "missing", "; ".join(each.faults) or "no session gave it"
    if confirmed and each.estimate - each.allowance > threshold:
        return "regression", f"confirmed by {fresh} fresh sessions, p {verdict.slower:.2g} for the night"
    if each.faults:
        return "inconclusive", "; ".join(each.faults)
    if len(each.screened) < SCREEN_SESSIONS:
        return "inconclusive", f"measured in {len(each.screened)} of {SCREEN_SESSIONS} sessions"
    if verdict.slower is not None and fresh < wanted:
        return "inconclusive", f"suspicious, and only {fresh} of {wanted} fresh sessions to confirm it"
    if verdict.faster <= FAMILY and gain > threshold:
        return "improved", f"p {verdict.faster:.2g}; a new pin would keep it"
    if mde is None or hidden is None or fraction(each.metric, hidden) > MOST_MDE:
        least = "any change" if mde is None else f"a change under {fraction(each.metric, mde):.1%}"
        return "inconclusive", f"the sessions differ too much: {least} may go unseen"
    if confirmed:
        return "ok", f"worse, but by no more than the {gate:.1%} that matter"
    return "ok", f"suspicious at first, not confirmed by {fresh} fresh sessions" if verdict.slower is not None else ""
