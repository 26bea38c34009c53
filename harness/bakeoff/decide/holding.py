"""Replayed capacities held within what blocks at nearby rates showed: together as long as their brackets agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from bakeoff.backends import Batching
from bakeoff.decide.evidence import Evidence, gather
from bakeoff.decide.search import Bracket
from bakeoff.scenario import Scenario
from bakeoff.store.record import CandidateRecord


def gather_all(records: Iterable[CandidateRecord], scenario: Scenario, cpus: int) -> list[Evidence]:
    """Read the blocks of several candidates, and hold their capacities within what blocks at nearby rates showed.

    Replays of one queue (instances, batcher) share what they leave out: a factor that the brackets of all that still
    stand agree on moves them all alike, and leaves comparisons as they were. Where there is none each goes its own way.
    """
    found = [gather(record, scenario, cpus) for record in records]
    queues: dict[tuple[str, int, Batching | None], list[Evidence]] = {}
    for each in found:
        if each.replayed_qps and each.record.failure is None:
            queues.setdefault(_queue(each), []).append(each)
    alike = {queue: _off_alike(standing) for queue, standing in queues.items()}
    return [_moved(each, alike.get(_queue(each))) for each in found]


def _queue(evidence: Evidence) -> tuple[str, int, Batching | None]:
    """What replays have in common: the setting's queue; a server elsewhere has one of its own."""
    candidate = evidence.record.candidate
    return candidate.backend if candidate.remote else "", candidate.setting.instances, candidate.setting.batching


def _off(evidence: Evidence) -> Bracket:
    """Between what factors, by the bracket, the replay is off."""
    found, qps = evidence.bracket, evidence.replayed_qps
    if not qps:
        return Bracket()
    return Bracket(found.passed_qps and found.passed_qps / qps, found.failed_qps and found.failed_qps / qps)


def _off_alike(each: Iterable[Evidence]) -> float | None:
    """The factor by which all these replays may be off; None where their brackets agree on none."""
    found = [_off(one) for one in each]
    low = max((one.passed_qps for one in found if one.passed_qps), default=None)
    high = min((one.failed_qps for one in found if one.failed_qps), default=None)
    return None if low and high and low > high else Bracket(low, high).held(1.0)


def _moved(evidence: Evidence, alike: float | None) -> Evidence:
    """With all rounds' rates times one factor: that of all alike where its own bracket allows it, else its own."""
    own = _off(evidence)
    factor = alike if alike is not None and own.held(alike) == alike else own.held(1.0)
    if factor == 1.0 or not evidence.replayed_qps:
        return evidence
    of_score = factor if evidence.by_capacity else 1.0
    return replace(
        evidence,
        capacity_qps={number: qps * factor for number, qps in (evidence.capacity_qps or {}).items()},
        items_per_s={number: items * factor for number, items in (evidence.items_per_s or {}).items()},
        cost={number: cost / factor for number, cost in (evidence.cost or {}).items()},
        score={number: each / of_score for number, each in (evidence.score or {}).items()},
        bounds=replace(evidence.bounds, moved=math.log(of_score)),
    )
