"""From evidence to a judgement: one candidate's figures as people read them. What is absent stays None."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy import special

from bakeoff.backends import Option, Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.compare import Field
from bakeoff.decide.cost import hourly, replicas, yearly
from bakeoff.decide.court import Court
from bakeoff.decide.evidence import Evidence, fact, has_cost
from bakeoff.decide.gates import OVER_CPUS, Gate
from bakeoff.decide.judgement import Gain, Judgement, Remedy
from bakeoff.decide.wording import percent
from bakeoff.scenario import Scenario
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND


def judgement(
    court: Court, name: str, reason: str, rank: int | None, gain: Gain | None, remedies: tuple[Remedy, ...] = ()
) -> Judgement:
    """A candidate's figures and fate."""
    evidence, found = court.evidence[name], court.gates[name]
    record, scenario = evidence.record, court.scenario
    candidate = record.candidate
    capacity, capacity_low, capacity_high = _capacity(evidence)
    low, high = _interval(name, evidence.round_costs, evidence) or (None, None)
    score_low, score_high = _interval(name, evidence.round_scores, evidence) or (None, None)
    count, hourly_cost = _fleet(capacity, evidence.cpus, scenario)
    mean_cost = evidence.mean_cost
    client_ns = fact(record, "client_ns")
    return Judgement(
        candidate=name,
        backend=candidate.backend,
        variant=candidate.variant,
        precision=candidate.precision,
        setting=candidate.setting.name,
        device=candidate.device,
        stage=found.stage,
        outcome=found.outcome,
        reason=reason,
        percentile=scenario.sla.percentile if scenario.sla else 99.0,
        p50_ms=evidence.p50_ms,
        p99_ms=evidence.tail.value,
        p99_low_ms=evidence.tail.low,
        p99_high_ms=evidence.tail.high,
        offered_qps=evidence.offered_qps,
        capacity_qps=capacity,
        capacity_low_qps=capacity_low,
        capacity_high_qps=capacity_high,
        capacity_measured=_bracketed(evidence),
        headroom=None if capacity is None or scenario.traffic.rate is None else capacity / scenario.traffic.rate - 1.0,
        cpu_ms_per_request=evidence.cpu_ms_per_request,
        items_per_s=_mean_and_interval(evidence.items_per_s or {})[0],
        preparation_share=evidence.preparation_share,
        cost=mean_cost,
        cost_low=low,
        cost_high=high,
        score=evidence.mean_score,
        score_low=score_low,
        score_high=score_high,
        cost_per_million_requests=None if mean_cost is None else mean_cost * scenario.traffic.mean_items,
        replicas=count,
        hourly_cost=hourly_cost,
        yearly_cost=None if hourly_cost is None else yearly(hourly_cost),
        memory_bytes=memory_bytes(evidence),
        load_s=startup_s(evidence),
        build_s=None if candidate.remote else fact(record, "build_s"),
        artifact_bytes=None if candidate.remote else fact(record, "artifact_bytes"),
        requests=evidence.requests,
        rounds=evidence.rounds,
        trusted=_trusted(evidence, found),
        trust_notes=_trust_notes(evidence),
        quality={quality.metric: quality for quality in record.quality},
        rank=rank,
        gain=gain,
        settings={**_lanes(candidate), **candidate.setting.options, **_batcher(candidate.setting)},
        reproduce=next((row.command for row in reversed(record.ledger) if row.command), ""),
        remote=candidate.remote,
        client_ms=None if client_ns is None else client_ns / 1e6,
        remedies=remedies,
    )


def _interval(name: str, by_round: Mapping[int, float], evidence: Evidence) -> tuple[float, float] | None:
    return Field({name: by_round}, bounds={name: evidence.bounds}).interval(name)


def _lanes(candidate: Candidate) -> dict[str, Option]:
    setting = candidate.setting
    if candidate.remote:
        return {"connections": setting.instances}
    return {"threads": setting.threads, "instances": setting.instances}


def _batcher(setting: Setting) -> dict[str, Option]:
    batching = setting.batching
    return {} if batching is None else {"batch_items": batching.most_items, "batch_wait_ms": batching.wait_ms}


def startup_s(evidence: Evidence) -> float | None:
    """From the process's start to its first answer; None for a server elsewhere, whose client's start is no figure."""
    record = evidence.record
    return None if record.candidate.remote else fact(record, "startup_s") or fact(record, "load_s")


def memory_bytes(evidence: Evidence) -> float | None:
    """The peak while it was measured, else what it took once loaded; None for a server elsewhere."""
    if evidence.record.candidate.remote:
        return None
    return evidence.peak_memory_bytes or fact(evidence.record, "memory_bytes")


def _capacity(evidence: Evidence) -> tuple[float | None, float | None, float | None]:
    """The capacity with the rates that passed and failed around it. Where no block was played at another rate than the
    one asked for, with the rounds' 95 % interval, widened by what moved it: its own pass, or the blocks of others."""
    mean, low, high = _mean_and_interval(evidence.capacity_qps or {})
    if mean is None or not _bracketed(evidence):
        farther, passed_qps = math.exp(abs(evidence.bounds.moved)), evidence.bracket.passed_qps or 0.0
        return mean, low and max(low / farther, min(low, passed_qps)), high and high * farther
    return mean, evidence.bracket.passed_qps, evidence.bracket.failed_qps


def _bracketed(evidence: Evidence) -> bool:
    """Whether blocks at other rates than the one asked for decided something."""
    return any(block.round == CAPACITY_ROUND for block in evidence.record.blocks)


def _mean_and_interval(by_round: Mapping[int, float]) -> tuple[float | None, float | None, float | None]:
    """The geometric mean over the rounds (the screen where there was no round) with its 95 % interval."""
    rounds = [value for number, value in by_round.items() if number > SCREEN_ROUND]
    known = rounds or list(by_round.values())
    if not known:
        return None, None, None
    logs = [math.log(value) for value in known]
    mean = math.fsum(logs) / len(logs)
    if len(rounds) < 2:
        return math.exp(mean), None, None
    error = math.sqrt(math.fsum((each - mean) ** 2 for each in logs) / (len(logs) - 1) / len(logs))
    half = float(special.stdtrit(len(logs) - 1, 0.975)) * error
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _fleet(capacity_qps: float | None, cpus: int | None, scenario: Scenario) -> tuple[int | None, float | None]:
    """The replicas that the shop takes, and what they cost in an hour."""
    if capacity_qps is None or scenario.traffic.fleet_qps is None:
        return None, None
    count = replicas(scenario.traffic.fleet_qps, capacity_qps, scenario.fleet.headroom, scenario.fleet.spare)
    if scenario.price is None or not has_cost(cpus, scenario):
        return count, None
    return count, count * hourly(cpus or 1, scenario.price, scenario.resources.gpus)


def _trusted(evidence: Evidence, found: Gate) -> bool:
    return not evidence.backwards and found.outcome != OVER_CPUS


def _trust_notes(evidence: Evidence) -> tuple[str, ...]:
    notes = []
    if evidence.blocks_over_budget:
        notes.append(f"used {evidence.over_budget} in {evidence.blocks_over_budget} of {evidence.blocks} blocks")
    if evidence.left_cpus:
        notes.append("left the CPUs it was given")
    if evidence.backwards:
        notes.append("claims answers before their requests")
    if evidence.sla is not None and evidence.sla.unanswered > 0.0:
        notes.append(f"left {percent(evidence.sla.unanswered)} of the requests unanswered")
    return tuple(notes)
