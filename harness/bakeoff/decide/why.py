"""The whole story of one candidate: what became of it at every stage, its figures by round beside the choice's, and
what would have to change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bakeoff.decide import stamps
from bakeoff.decide.compare import Interval
from bakeoff.decide.court import Court, convene
from bakeoff.decide.evidence import Evidence
from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.decide.sla import tail
from bakeoff.decide.verdict import judge
from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.store.record import CAPACITY_ROUND, LedgerRow, ScenarioRecord

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Lap:
    """What one round said of a candidate (0: the screening block); `score` is what the objective counts, in the
    verdict's `score_unit`. None where the round could not say."""

    tail_ms: float | None
    capacity_qps: float | None
    score: float | None


NO_LAP = Lap(None, None, None)


@dataclass(frozen=True, slots=True)
class Why:
    """`judged` is the candidate, `best` the choice, or what leads where the evidence is not enough (None: nothing
    does, or it is the candidate itself). `laps` are by round the candidate's and the best's; `loss` is how much more of
    what the objective counts it has, by the rounds that both had."""

    verdict: Verdict
    judged: Judgement
    best: Judgement | None
    ledger: tuple[LedgerRow, ...]
    laps: dict[int, tuple[Lap, Lap]]
    loss: Interval | None


def why(
    record: ScenarioRecord, part: str, cpu_flags: Collection[str] | None = None, measured_on: Collection[str] = ()
) -> Why:
    """The story of the candidate with this id, or with this part in its id and in no other.

    `cpu_flags` and `measured_on` are as for `verdict.judge_scenario`. Raises UserError where none is meant, or several.
    """
    name = find(part, [one.id for one in record.candidates], record.name)
    court = convene(record, cpu_flags=cpu_flags)
    verdict = judge(court, measured_on)
    best = verdict.choice or verdict.leader
    best = None if best is None or best.candidate == name else best
    judged = next(one for one in verdict.candidates if one.candidate == name)
    mine = _laps(court, name)
    theirs = _laps(court, best.candidate) if best else {}
    laps = {number: (lap, theirs.get(number, NO_LAP)) for number, lap in mine.items()}
    loss = court.beside(name, best.candidate) if best else None
    return Why(verdict, judged, best, court.evidence[name].record.ledger, laps, loss)


def find(part: str, names: Sequence[str], scenario: str) -> str:
    """The name that is `part`, else the only one that holds it."""
    found = [name for name in names if name == part] or [name for name in names if part in name]
    if len(found) == 1:
        return found[0]
    listed = ", ".join([*(found or names)[:_MOST_NAMED], *["…"] * (len(found or names) > _MOST_NAMED)])
    if found:
        raise UserError(f"{part}: {len(found)} candidates of {scenario} are named so: {listed}")
    raise UserError(f"{part}: no candidate of {scenario} is named so; there are {listed or 'none'}")


def _laps(court: Court, name: str) -> dict[int, Lap]:
    evidence = court.evidence[name]
    blocks: dict[int, list[Block]] = {}
    for entry in evidence.record.blocks:
        if entry.round != CAPACITY_ROUND:
            blocks.setdefault(entry.round, []).append(entry.block)
    percentile = court.scenario.sla.percentile if court.scenario.sla else 99.0
    live = court.scenario.traffic.open_loop
    as_asked = {number: stamps.asked(blocks[number], live) or blocks[number] for number in sorted(blocks)}
    return {number: _lap(evidence, number, those, percentile) for number, those in as_asked.items()}


def _lap(evidence: Evidence, number: int, blocks: Sequence[Block], percentile: float) -> Lap:
    found = tail(blocks, percentile)
    return Lap(found.value, (evidence.capacity_qps or {}).get(number), (evidence.score or {}).get(number))
