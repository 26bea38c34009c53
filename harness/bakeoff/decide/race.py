"""Who stays in the race: by what is recorded so far, which candidates the next round's time is worth.

Nobody goes but on evidence: a gate that was missed, a margin that neither a screening block nor a round errs by, or
rounds that show it dearer, with the chance of error spent over the looks. Those for whom there is no time yet wait.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bakeoff.decide.compare import ERROR, NO_BOUNDS, Bounds, Field
from bakeoff.decide.evidence import Evidence, cpus_held
from bakeoff.decide.gates import FEWEST_ROUNDS, Gate, gate, often_over_budget
from bakeoff.decide.holding import gather_all
from bakeoff.decide.objective import WORDS
from bakeoff.decide.wording import percent
from bakeoff.scenario import Scenario, restore
from bakeoff.store.record import OK, CandidateRecord, ScenarioRecord

MARGIN = 0.3
"""After one screening block each, or after one round, a candidate this much dearer than the leader is dropped, if its
CPU time is higher by half of that: on a machine with other work two rounds of one block each differ by half of it.
Screening blocks differ by more there, and of many the leader's is a lucky one: once it has rounds, these speak, too."""
NEARLY = 0.1
"""Who is dearer than the cheapest by no more may turn out to be the cheapest: its SLA is worth settling."""
LOST_TO = "lost_to"
"""Among the facts of a row: the candidate that was cheaper."""
MOST_CONTENDERS, USUAL_CONTENDERS = 12, 3
"""As many play a round at most, and in most rounds, which is what time is reckoned by that nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Runner:
    """What the race knows of one that passed its gates so far: its cost by the screen and by round.

    One not `judged` may yet make room for another; in favour of one that is not `promising` nobody is dropped; one
    `protected` stays. Rounds drop one that is dearer by more than `least` (a fraction): what serves today, only where
    a switch matters.
    """

    id: str
    screen: float | None
    rounds: Mapping[int, float]
    cpu_ms: float | None = None
    judged: bool = True
    promising: bool = True
    protected: bool = False
    least: float = 0.0
    bounds: Bounds = NO_BOUNDS

    @property
    def cheapness(self) -> tuple[float, str]:
        """By the rounds' mean where it has any, else by the screen."""
        known = list(self.rounds.values()) or ([] if self.screen is None else [self.screen])
        return (math.exp(math.fsum(map(math.log, known)) / len(known)) if known else math.inf), self.id


@dataclass(frozen=True, slots=True)
class Standing:
    """Ids that stay in the rounds, the cheapest first, why the newly dropped ones go, who waits for a turn, to whom
    those lost that go because another has less, and of those who lost before, who is to come back, and why. `wanted_s`
    more of their load would settle whether those keep to the SLA that may well be the cheapest."""

    contenders: tuple[str, ...]
    eliminated: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    lost_to: Mapping[str, str] = field(default_factory=dict)
    back: Mapping[str, str] = field(default_factory=dict)
    wanted_s: Mapping[str, float] = field(default_factory=dict)


def lost_to(candidate: CandidateRecord) -> str | None:
    """Who was cheaper, of a candidate that is out of the race for that."""
    return candidate.failure.facts.get(LOST_TO) if candidate.failure is not None else None


def contenders(record: ScenarioRecord, limit: int = MOST_CONTENDERS, exhaustive: bool = False) -> Standing:
    """At most `limit` candidates, and the incumbent until it has its figures; where the race is `exhaustive`, all that
    miss no gate.

    Generated inputs let no lossy candidate win, so none stays.
    """
    scenario = restore(dict(record.definition))
    provisional = is_provisional(record)
    lost = {one.id: other for one in record.candidates if (other := lost_to(one)) is not None}
    failed = {one.id for one in record.candidates if one.failure is not None}
    able = [one for one in record.candidates if one.blocks and (one.failure is None or one.id in lost)]
    found = gather_all(able, scenario, cpus_held(record, scenario))
    evidence = [one for one in found if one.record.id not in lost]
    gates = {one.record.id: gate(one, scenario, provisional) for one in found}
    hopeless = {one: found.reason for one, found in gates.items() if found.status in ("failed", "settled")}
    runners = [_runner(one, gates, scenario) for one in evidence if one.record.id not in hopeless]
    alone = {
        one: f"{other}, to which it lost, dropped out"
        for one, other in lost.items()
        if one not in hopeless and other not in lost and other in failed | hopeless.keys()
    }
    if exhaustive:
        return Standing(tuple(one.id for one in sorted(runners, key=lambda one: one.cheapness)), hopeless, back=alone)
    losers = [
        (_runner(one, gates, scenario), lost[one.record.id])
        for one in found
        if one.record.id in lost and one.record.id not in hopeless and not _came_back(one.record)
    ]
    standing = narrow(runners, limit, WORDS[scenario.objective].more, losers)
    cheap = _may_be_cheapest(runners)
    unclear = {one.record.id for one in evidence if one.sla is not None and one.sla.outcome == "undecided"}
    return replace(
        standing,
        eliminated=hopeless | dict(standing.eliminated),
        back=dict(standing.back) | alone,
        wanted_s={one: gates[one].needed_s for one in standing.contenders if one in cheap & unclear},
    )


def narrow(
    runners: Sequence[Runner],
    limit: int = MOST_CONTENDERS,
    more: str = "dearer",
    losers: Sequence[tuple[Runner, str]] = (),
) -> Standing:
    """Who plays the next round, who is dropped as dearer than the leader (or what else is `more`), and who waits.

    Beside the leader it is the turn first of those that had too few rounds to be compared. `losers` are those dropped
    before, each with the one to which it lost: who lost by the screen alone comes back where the rounds do not bear out
    what the screen showed of that one, and of the leader.
    """
    alive = sorted(runners, key=lambda one: one.cheapness)
    leader = next((one for one in alive if one.judged and one.promising and one.cheapness[0] < math.inf), None)
    eliminated, lost = {}, {}
    costs = _field(alive)
    if leader is not None:
        for one in alive:
            reason = None if one.protected or one is leader else _too_dear(one, leader, costs, more)
            if reason:
                eliminated[one.id], lost[one.id] = reason, leader.id
    rest = [one for one in alive if one.id not in eliminated]
    turns = sorted(rest, key=lambda one: (one is not leader, len(one.rounds) >= FEWEST_ROUNDS, one.cheapness))
    turn = {one.id for place, one in enumerate(turns) if place < limit or one.protected}
    playing = [one for one in rest if one.id in turn]
    waiting = tuple(one.id for one in rest if one not in playing)
    known = {one.id: one for one in (*alive, *(one for one, _ in losers))}
    back = {
        one.id: f"{other} is not that much cheaper in the rounds"
        for one, other in losers
        if leader is not None and _by_luck(one, known.get(other), leader, costs)
    }
    return Standing(tuple(one.id for one in playing), eliminated, waiting, lost, back)


def screens_apart(one: float, other: float, mean: float) -> float:
    """How many times as dear one is as the other by their screens, and by the mean of the other's rounds, if that tells
    of less: its screen may have been a lucky one."""
    return one / max(other, mean)


def is_provisional(record: ScenarioRecord) -> bool:
    """Whether the inputs are made up: they may decide speed, never quality."""
    return record.workload.get("data") == "generated"


def _runner(one: Evidence, gates: Mapping[str, Gate], scenario: Scenario) -> Runner:
    today = scenario.incumbent is not None and one.record.id == scenario.incumbent.candidate
    return Runner(
        one.record.id,
        one.screen_score,
        one.round_scores,
        None if scenario.objective in ("memory", "energy") else one.cpu_ms_per_request,
        judged=not scenario.quality or gates[one.record.id].stage != "quality",
        promising=_promising(one, scenario),
        protected=today and one.rounds < FEWEST_ROUNDS,
        least=scenario.matters if today else 0.0,
        bounds=one.bounds,
    )


def _promising(evidence: Evidence, scenario: Scenario) -> bool:
    """Whether others may be dropped in favour of this one: so far it is within the SLA, with room at the asked rate
    (where the capacity is asked for, once it had a round, at some rate), and within the CPU budget."""
    if evidence.mean_score is None or often_over_budget(evidence):
        return False
    if scenario.sla is None:
        return True
    if scenario.traffic.asks_capacity:
        return not evidence.rounds or evidence.bracket.passed_qps is not None
    if evidence.sla is None:
        return False
    carries = min((evidence.capacity_qps or {}).values(), default=0.0)
    enough = evidence.offered_qps is None or carries >= evidence.offered_qps
    return enough and evidence.sla.exceeding <= 1.0 - scenario.sla.percentile / 100.0


def _field(alive: Sequence[Runner]) -> Field:
    """The rounds' costs, with the error of one look of many: over all looks together it stays within ERROR."""
    costs = {one.id: one.rounds for one in alive if len(one.rounds) >= 2}
    looks = max((len(one.rounds) for one in alive), default=0)
    return Field(costs, ERROR / max(1, looks * (looks - 1)), {one.id: one.bounds for one in alive})


def _may_be_cheapest(runners: Sequence[Runner]) -> set[str]:
    """Who is near the cheapest, and by no rounds yet dearer than another: no claim, but whose SLA is worth load."""
    least = min((one.cheapness[0] for one in runners), default=math.inf)
    costs = replace(_field(runners), error=ERROR)
    beaten = costs.costs.keys() - set(costs.may_be_best(tuple(costs.costs)))
    return {one.id for one in runners if one.cheapness[0] <= least * (1.0 + NEARLY)} - beaten


def _too_dear(one: Runner, leader: Runner, costs: Field, more: str) -> str | None:
    if one.id in costs.costs and leader.id in costs.costs:
        loss = costs.dearer(one.id, leader.id)
        if loss is not None and loss.low > one.least:
            least, rounds = percent(loss.low), len(one.rounds)
            return f"{percent(loss.value)} {more} than {leader.id} (at least {least}) after {rounds} rounds"
        return None
    common = one.rounds.keys() & leader.rounds.keys()
    if common:
        ratio, where = one.rounds[max(common)] / leader.rounds[max(common)], "in one round"
    elif one.rounds or one.screen is None or leader.screen is None:
        return None
    else:
        ratio, where = screens_apart(one.screen, leader.screen, leader.cheapness[0]), "in the screening block"
    if ratio <= 1.0 + MARGIN or not _takes_more_cpu(one, leader):
        return None
    return f"{percent(ratio - 1.0)} {more} than {leader.id} {where}"


def _came_back(candidate: CandidateRecord) -> bool:
    """Whether it was let in again before; once is enough, or it might come and go at each look."""
    return any((row.stage, row.outcome) == ("race", OK) for row in candidate.ledger)


def _by_luck(one: Runner, other: Runner | None, leader: Runner, costs: Field) -> bool:
    """Whether the rounds of one to which another lost by their screening blocks say that it would not have lost; nor
    would it to who leads now."""
    if one.rounds or other is None or not other.rounds:
        return False
    return not any(_too_dear(one, each, costs, "") for each in (other, leader))


def _takes_more_cpu(one: Runner, leader: Runner) -> bool:
    """Whether the CPU time of a request bears out that it is dearer: a stall in one short block does not show there."""
    mine, best = one.cpu_ms, leader.cpu_ms
    return mine is None or best is None or mine > best * (1.0 + MARGIN / 2)
