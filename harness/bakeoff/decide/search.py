"""How much can it take? The highest rate at which the SLA holds, between a rate that passed and one that failed.

Every rate is decided by the anytime-valid test on open-loop blocks at that rate: each such decision is wrong with at
most one chance in a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bakeoff.decide.sla import SlaResult, judge_sla, requests_needed, requests_to_pass
from bakeoff.measure.block import Block
from bakeoff.scenario import Sla

STEP = 1.1
"""The first rates tried are this much above and below the likely capacity; later ones step out ever further."""
RESOLUTION = 1.05
"""Rates nearer to each other than this are not told apart."""
FARTHEST = 30.0
"""Rates so many times above or below what was likely are not tried."""
MOST_BLOCKS = 4
"""Blocks at one rate; where they would not settle it, it stays undecided and others are tried."""
LONGEST_S = 120.0
"""On the way down to a first pass, one rate may have so many seconds of blocks instead."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """What was decided of the capacity, in requests per second.

    `passed_qps` is the highest rate that passed below all that failed, `failed_qps` the lowest that failed (None: none
    did), `undecided_qps` the rates that blocks did not settle, ascending.
    """

    passed_qps: float | None = None
    failed_qps: float | None = None
    undecided_qps: tuple[float, ...] = ()

    def held(self, estimate_qps: float) -> float:
        """The estimate; where it is below what passed, that; where it is above what failed, a step below that, or the
        middle of the bracket where that is nearer."""
        low, high = self.passed_qps, self.failed_qps
        if low is not None and estimate_qps < low:
            return low
        if high is not None and estimate_qps > high:
            return max(high / STEP, math.sqrt(low * high) if low is not None else 0.0)
        return estimate_qps


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and whether it is complete: more blocks would not narrow it."""

    bracket: Bracket
    complete: bool


def bracket(results: Mapping[float, SlaResult]) -> Bracket:
    """The bracket of what was decided at each rate (requests per second); a pass above a failure counts for nothing."""
    failed_qps = min((rate for rate, result in results.items() if result.outcome == "fail"), default=math.inf)
    passed = [rate for rate, result in results.items() if result.outcome == "pass" and rate < failed_qps]
    undecided = sorted(rate for rate, result in results.items() if result.outcome == "undecided" and rate < failed_qps)
    return Bracket(max(passed, default=None), None if math.isinf(failed_qps) else failed_qps, tuple(undecided))


def judged(blocks: Iterable[Block], sla: Sla) -> dict[float, SlaResult]:
    """The test's result at each rate, from the open-loop blocks among these."""
    return {rate: _judge(found, sla) for rate, found in by_rate(blocks).items()}


def standing_qps(results: Mapping[float, SlaResult], sla: Sla) -> float | None:
    """The likeliest rate to hold: the highest that passed below all that failed, else of the undecided ones that which
    may pass the soonest, else a step below all that were tried."""
    found = bracket(results)
    left_s = _passing_s(found, results, sla)
    soonest_qps = min(left_s, key=left_s.__getitem__, default=None)
    below_qps = min(results, default=None)
    return found.passed_qps or soonest_qps or (None if below_qps is None else below_qps / STEP)


def by_rate(blocks: Iterable[Block]) -> dict[float, list[Block]]:
    """The open-loop blocks among these by the rate asked for, in the order measured."""
    found: dict[float, list[Block]] = {}
    for block in blocks:
        if block.kind == "open" and block.offered_qps:
            found.setdefault(block.offered_qps, []).append(block)
    return found


def next_rate(found: Bracket, likely_qps: float) -> float | None:
    """The rate to try next, of those not tried: one that fails, then one that passes, then between; None where that
    would tell no more.

    Overload shows quickest, so it comes first.
    """
    if found.failed_qps is None:
        return _further(likely_qps, [found.passed_qps, *found.undecided_qps], up=True)
    if found.passed_qps is None:
        return _further(likely_qps, [found.failed_qps, *found.undecided_qps], up=False)
    inside = [rate for rate in found.undecided_qps if rate > found.passed_qps]
    gaps = [(found.passed_qps, found.failed_qps)]
    if inside:
        gaps = [(found.passed_qps, inside[0]), (inside[-1], found.failed_qps)]
    low, high = max(gaps, key=lambda gap: gap[1] / gap[0])
    return math.sqrt(low * high) if high / low > RESOLUTION else None


def find(
    play: Callable[[float], Block | None],
    likely_qps: float,
    sla: Sla,
    known: Iterable[Block] = (),
    may_go_on: Callable[[], bool] = lambda: True,
) -> Found:
    """Bracket the capacity, then bisect, from a likely one: `play` measures a block at a rate (None: it failed).

    `known` are blocks measured before. Ends early when `may_go_on` says no, with what is known by then.
    """
    blocks = by_rate(known)
    results = {rate: _judge(here, sla) for rate, here in blocks.items()}
    while may_go_on():
        unsettled = (rate for rate, here in blocks.items() if len(here) < MOST_BLOCKS and _worth_more(results[rate]))
        rate = next(unsettled, None) or _soonest(bracket(results), results, likely_qps, sla)
        block = None if rate is None else play(rate)
        if rate is None or block is None:
            return Found(bracket(results), complete=rate is None)
        blocks.setdefault(rate, []).append(block)
        results[rate] = _judge(blocks[rate], sla)
    return Found(bracket(results), complete=False)


def _allowed(sla: Sla) -> float:
    """The share of requests that may be over the limit."""
    return 1.0 - sla.percentile / 100.0


def _judge(blocks: list[Block], sla: Sla) -> SlaResult:
    return judge_sla(blocks, sla.percentile, sla.limit_ms, sla.error_rate)


def _worth_more(result: SlaResult) -> bool:
    """Whether a few more blocks may settle it."""
    if result.outcome != "undecided" or result.needed is None:
        return False
    return result.needed <= MOST_BLOCKS * result.effective


def _soonest(found: Bracket, results: Mapping[float, SlaResult], likely_qps: float, sla: Sla) -> float | None:
    """The next rate. On the way down to a first pass: whichever may pass the soonest, a rate left undecided or the next
    one, as if none of its requests will be over the limit."""
    rate = next_rate(found, likely_qps)
    if found.failed_qps is None or found.passed_qps is not None:
        return rate
    left_s = _passing_s(found, results, sla)
    if rate is not None:
        left_s[rate] = (requests_needed(0.0, _allowed(sla)) or math.inf) / rate
    return min(left_s, key=left_s.__getitem__, default=None)


def _passing_s(found: Bracket, results: Mapping[float, SlaResult], sla: Sla) -> dict[float, float]:
    """By undecided rate how many more seconds of it make a pass, if all goes well; without those that hardly will
    within LONGEST_S in all, or whose requests fail too often."""
    left_s: dict[float, float] = {}
    for rate in found.undecided_qps:
        one = results[rate]
        most = one.effective * LONGEST_S * rate / one.requests
        count = requests_to_pass(one.exceeding, one.effective, _allowed(sla), most)
        if count is not None and one.unanswered <= sla.error_rate:
            left_s[rate] = (count / one.effective - 1.0) * one.requests / rate
    return left_s


def _further(likely_qps: float, tried: Iterable[float | None], up: bool) -> float | None:
    """A step beyond the likely rate and all that was tried on that side, the longer the more were."""
    beyond = [rate for rate in tried if rate is not None and (rate >= likely_qps if up else rate <= likely_qps)]
    factor = STEP ** (len(beyond) + 1)
    rate = max([likely_qps, *beyond]) * factor if up else min([likely_qps, *beyond]) / factor
    return rate if 1.0 / FARTHEST <= rate / likely_qps <= FARTHEST else None
