"""What would have to change for a candidate to pass the gate that it missed, and whether it would win then.

Told from the record alone, by the blocks that there are; where they do not tell, nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from bakeoff.decide.court import Court
from bakeoff.decide.evidence import Evidence, fact
from bakeoff.decide.gates import ACCEPTED, FEWEST_ROUNDS, Gate, gate
from bakeoff.decide.holding import gather_all
from bakeoff.decide.judgement import Remedy, Then
from bakeoff.decide.quality import judge
from bakeoff.decide.what_if.limits import at_limit, least_limit_ms
from bakeoff.decide.what_if.sensitivity import (
    Stretch,
    bound,
    least_floor,
    least_floors,
    rounded_down,
    rounded_up,
    sensitivity,
)
from bakeoff.decide.what_if.settling import settle
from bakeoff.decide.wording import milliseconds, percent, settling, whole
from bakeoff.measure.gpu_memory import FACT, MIB
from bakeoff.scenario import Scenario
from bakeoff.store.record import CandidateRecord

LEAST_LOAD = 0.1
"""A load below so large a share of the one asked for is no answer."""
_BY_SCREEN = " by one screening block each"


@dataclass(frozen=True, slots=True)
class _Change:
    """`what` at `needed`, which reads `value`, in place of `asked`."""

    what: str
    unit: str
    asked: float | None
    needed: float
    value: str

    def told(self, then: Then, verb: str, tail: str = "", dearer: float | None = None) -> Remedy:
        words = f"{verb} if {self.what} were {self.value}{tail}"
        return Remedy(self.what, self.unit, self.asked, self.needed, then, words, dearer)


@dataclass(frozen=True, slots=True)
class _Otherwise:
    """After a change: the candidate's gate, the evidence of all that pass, and the one to be held against, if any."""

    gate: Gate
    passing: Mapping[str, Evidence]
    best: str | None


def remedies(court: Court, best: str | None) -> dict[str, tuple[Remedy, ...]]:
    """By candidate, for the gate that it missed first; nothing for `best`, which is chosen or leads."""
    others = [name for name in court.evidence if name != best]
    limits = {name: _least_limit_ms(court, name) for name in others}
    known = {name: limit_ms for name, limit_ms in limits.items() if limit_ms is not None}
    priced = best is not None and court.scenario.objective == "cost"
    turns = sensitivity(court, court.cpu_flags) if priced else ()
    return {name: (*_missed(court, name, best, known), *_turns(court, name, turns)) for name in others}


def _least_limit_ms(court: Court, name: str) -> float | None:
    missed = court.gates[name].outcome == "sla-missed"
    return least_limit_ms(court.evidence[name].record, court.scenario) if missed else None


def _missed(court: Court, name: str, best: str | None, limits: Mapping[str, float]) -> Iterator[Remedy]:
    found = court.gates[name]
    if name in limits:
        yield _limit(court, name, best, limits)
    if found.outcome == "sla-missed":
        yield from _rate(court, name, best)
    elif found.stage == "quality" and found.status in ("failed", "settled"):
        yield from _floor(court, name, best)
    elif found.outcome == "out-of-memory":
        yield from _memory(court, name)
    elif found.status == "open" and found.needed_s > 0.0:
        words = settling(found.needed_s, "measuring it")
        yield Remedy("time", "s", None, found.needed_s, "settles", words)


def _limit(court: Court, name: str, best: str | None, limits: Mapping[str, float]) -> Remedy:
    """Capacities, and costs by them, follow from the limit: those of `best` and, where it is beaten, of all that pass
    are read anew."""
    sla, limit_ms = court.scenario.sla, limits[name]
    assert sla is not None
    scenario = at_limit(court.scenario, limit_ms)
    change = _Change(f"the p{sla.percentile:g} limit", "ms", sla.limit_ms, limit_ms, f"{milliseconds(limit_ms)} ms")

    def remedy(names: Collection[str]) -> Remedy:
        records = [_still_in(one) for one in court.record.candidates if one.id in names]
        passing = {one.record.id: one for one in gather_all(records, scenario, court.cpus)}
        found = _gate(court, passing[name], scenario)
        return _judged(court, name, change, _Otherwise(found, passing, best))

    alone = remedy([name, best] if best else [name])
    everyone = {*court.accepted, *(other for other, least_ms in limits.items() if least_ms <= limit_ms)}
    return remedy(everyone) if alone.then in ("wins", "leads") else alone


def _gate(court: Court, evidence: Evidence, scenario: Scenario) -> Gate:
    asked = replace(evidence, record=_still_in(evidence.record))
    return gate(asked, scenario, court.provisional, court.cpu_flags)


def _still_in(record: CandidateRecord) -> CandidateRecord:
    """As if the race had not dropped it, which it does at once for a gate that was missed."""
    dropped = record.failure is not None and record.failure.outcome == "eliminated"
    return replace(record, ledger=record.ledger[:-1]) if dropped else record


def _rate(court: Court, name: str, best: str | None) -> Iterator[Remedy]:
    """A load that its capacity holds; what it costs there is known, since costs are told at the capacity."""
    rate, evidence = court.scenario.traffic.rate, court.evidence[name]
    passed_qps = evidence.bracket.passed_qps
    holds_qps = passed_qps or min((evidence.capacity_qps or {}).values(), default=None)
    if rate is None or holds_qps is None or not LEAST_LOAD * rate <= holds_qps < rate:
        return
    needed = rounded_down(holds_qps)
    value = f"{'' if passed_qps else 'about '}{whole(needed)} requests/s"
    change = _Change("the load of a replica", "requests/s", rate, needed, value)
    measured = len(evidence.round_scores) >= FEWEST_ROUNDS
    found = ACCEPTED if measured else Gate("open", "serve", "undecided")
    passing = {one: court.evidence[one] for one in (name, best) if one}
    yield _judged(court, name, change, _Otherwise(found, passing, best))


def _floor(court: Court, name: str, best: str | None) -> Iterator[Remedy]:
    """The floor that it missed, where it missed one alone; nothing where no figure says by how much."""
    evidence, floors = court.evidence[name], court.scenario.quality
    known = {quality.metric: quality for quality in evidence.record.quality}
    missed = [metric for metric, floor in floors.items() if metric not in known or judge(known[metric], floor) != "ok"]
    metric = missed[0] if len(missed) == 1 and missed[0] in known else None
    least = None if metric is None else least_floor(floors[metric], known[metric])
    if metric is None or least is None:
        return
    floor, needed = floors[metric], rounded_up(least)
    value = percent(needed) if floor.relative else f"{needed:g}"
    change = _Change(f"the {metric} floor", "%" if floor.relative else metric, floor.amount, needed, value)
    scenario = _with_floor(court.scenario, metric, needed)
    enough = {other for other, amount in least_floors(court, metric, court.cpu_flags).items() if amount <= needed}
    passing = {other: one for other, one in court.evidence.items() if other in {*enough, name, best}}
    found = _gate(court, evidence, scenario)
    yield _judged(court, name, change, _Otherwise(found, passing, best))


def _with_floor(scenario: Scenario, metric: str, amount: float) -> Scenario:
    floor = scenario.quality[metric].model_copy(update={"amount": amount})
    return scenario.model_copy(update={"quality": {**scenario.quality, metric: floor}})


def _memory(court: Court, name: str) -> Iterator[Remedy]:
    """What it held on the GPU once it was warm, or at its peak while it was measured. One that was ended for outgrowing
    the host's memory had not all that it takes yet."""
    evidence, given = court.evidence[name], court.scenario.resources
    for what, held_bytes, limit_bytes, then in (
        ("the GPU memory limit", fact(evidence.record, FACT), given.gpu_memory_bytes, "would be measured"),
        ("the memory limit", evidence.peak_memory_bytes, given.memory_bytes, "would pass that gate"),
    ):
        if held_bytes is not None and limit_bytes is not None and held_bytes > limit_bytes:
            value = f"{rounded_up(held_bytes / MIB):,.10g} MiB"
            yield _Change(what, "bytes", limit_bytes, held_bytes, value).told("passes", then)
            return


def _turns(court: Court, name: str, turns: Collection[Stretch]) -> Iterator[Remedy]:
    """Where another value of what can be varied makes one the winner that passed, or lost the race on its cost."""
    if court.gates[name].status not in ("ok", "eliminated"):
        return
    for one in turns:
        if one.winner == name and one.asked is not None and one.worth_telling:
            needed = one.low if one.asked < one.low else one.high
            change = _Change(one.varied, "", one.asked, needed, bound(one))
            yield change.told("wins", "would win") if one.sure else change.told("leads", "might win")


def _judged(court: Court, name: str, change: _Change, after: _Otherwise) -> Remedy:
    """Whether it wins after the change, or passes alone."""
    if after.gate.status == "failed":
        return change.told("fails", f"would still be {after.gate.outcome}")
    sure = after.gate.status == "ok"
    passes = "would pass" if sure else "may pass"
    costs = {other: dict(one.score) for other, one in after.passing.items() if one.score}
    if after.best not in costs or name not in costs or after.best is None:
        return change.told("passes", passes)
    pair = settle({other: costs[other] for other in (after.best, name)})
    paired = len(after.passing[name].round_scores.keys() & after.passing[after.best].round_scores.keys()) >= 2
    by = "" if paired else _BY_SCREEN
    if pair.winner == after.best:
        dearer = 1.0 / (1.0 - (pair.margin or 0.0)) - 1.0
        return change.told("loses", passes, f", and still be {percent(dearer)} {court.words.more}{by}", dearer)
    field = settle(costs)
    if pair.winner == name and name not in field.equals:
        return change.told("loses", passes, f", and so would {field.order[0]}, {court.words.less} still")
    if field.winner != name:
        level = after.best if pair.winner != name else next(other for other in field.equals if other != name)
        return change.told("ties", passes, f", and not be told apart from {level}{by}")
    then: Then = "wins" if sure and paired else "leads"
    verb = "would win" if then == "wins" else "may win"
    return change.told(then, verb, f", {percent(pair.margin or 0.0)} {court.words.less} than {after.best}{by}")
