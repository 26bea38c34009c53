"""The figures of candidates that two runs have in common, and whether they changed by more than their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bakeoff.decide.choice import ALIKE
from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.store.record import Quality

Judged = Literal["changed", "within noise", "no interval"]
Span = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one candidate, older and newer, with the ends of its intervals where it has them.

    `change` is a fraction, but for a quality metric, where it is in the metric's own units. It is "changed" only where
    the intervals are apart; memory, which has none, where it differs by more than a tenth.
    """

    candidate: str
    name: str
    unit: str
    older: float
    newer: float
    older_ends: Span
    newer_ends: Span
    change: float
    relative: bool
    judged: Judged


def figures(before: Verdict, after: Verdict, prices: tuple[Any, Any], same_host: bool) -> tuple[Figure, ...]:
    """Of every candidate in both, in the newer's order. From another host costs and quality alone.

    Where another price is asked than before, the hours held for a million items are told too: what the engine changed.
    """
    old = {one.candidate: one for one in before.candidates}
    return tuple(
        figure
        for one in after.candidates
        if one.candidate in old
        for figure in (
            *_costs(old[one.candidate], one, (before.cost_unit, after.cost_unit), prices),
            *(_on_one_host(old[one.candidate], one) if same_host else ()),
            *_quality(old[one.candidate], one),
        )
    )


def _costs(old: Judgement, new: Judgement, units: tuple[str, str], prices: tuple[Any, Any]) -> Iterator[Figure]:
    if old.cost is None or new.cost is None:
        return
    spans = (old.cost_low, old.cost_high), (new.cost_low, new.cost_high)
    if units[0] == units[1]:
        yield _figure(new.candidate, "cost", units[1], (old.cost, new.cost), spans)
    if prices[0] == prices[1]:
        return
    (held, per), (holds, now_per) = (_an_hour(*each) for each in zip(prices, units, strict=True))
    if per == now_per:
        hours = old.cost / held, new.cost / holds
        scaled = _scaled(spans[0], 1.0 / held), _scaled(spans[1], 1.0 / holds)
        yield _figure(new.candidate, "held", f"{per}s per million items", hours, scaled)


def _an_hour(price: Mapping[str, Any] | None, unit: str) -> tuple[float, str]:
    """What divides a cost into hours of what is paid for, and what that is; without a price costs are in seconds."""
    if price is not None:
        return float(price["amount"]), str(price["per"])
    return 3600.0, "gpu-hour" if unit.startswith("GPU") else "core-hour"


def _scaled(span: Span, factor: float) -> Span:
    return (None if span[0] is None else span[0] * factor, None if span[1] is None else span[1] * factor)


def _on_one_host(old: Judgement, new: Judgement) -> Iterator[Figure]:
    """What only the same machine gives again: latency, capacity, memory."""
    if old.p99_ms is not None and new.p99_ms is not None and old.percentile == new.percentile:
        spans = (old.p99_low_ms, old.p99_high_ms), (new.p99_low_ms, new.p99_high_ms)
        yield _figure(new.candidate, f"p{new.percentile:g}", "ms", (old.p99_ms, new.p99_ms), spans)
    if old.capacity_qps is not None and new.capacity_qps is not None:
        spans = (old.capacity_low_qps, old.capacity_high_qps), (new.capacity_low_qps, new.capacity_high_qps)
        yield _figure(new.candidate, "capacity", "requests/s", (old.capacity_qps, new.capacity_qps), spans)
    if old.memory_bytes and new.memory_bytes:
        change = new.memory_bytes / old.memory_bytes - 1.0
        judged: Judged = "changed" if max(1.0 + change, 1.0 / (1.0 + change)) > ALIKE else "within noise"
        ends = (None, None)
        yield Figure(
            new.candidate, "memory", "bytes", old.memory_bytes, new.memory_bytes, ends, ends, change, True, judged
        )


def _quality(old: Judgement, new: Judgement) -> Iterator[Figure]:
    """What a metric is off from the base's, older and newer, in its own units."""
    for metric, now in new.quality.items():
        then = old.quality.get(metric)
        if then is None or not all(math.isfinite(each) for each in (then.delta, now.delta)):
            continue
        spans = _ends(then), _ends(now)
        change, judged = now.delta - then.delta, _judged(*spans)
        yield Figure(new.candidate, metric, "against base", then.delta, now.delta, *spans, change, False, judged)


def _ends(quality: Quality) -> Span:
    low, high = (end if math.isfinite(end) else None for end in (quality.low, quality.high))
    return low, high


def _figure(candidate: str, name: str, unit: str, values: tuple[float, float], spans: tuple[Span, Span]) -> Figure:
    older, newer = values
    return Figure(candidate, name, unit, older, newer, *spans, newer / older - 1.0, True, _judged(*spans))


def _judged(older: Span, newer: Span) -> Judged:
    """An end that is not known bounds nothing."""
    if set(older) == {None} or set(newer) == {None}:
        return "no interval"
    (low, high), (new_low, new_high) = (
        (-math.inf if span[0] is None else span[0], math.inf if span[1] is None else span[1]) for span in (older, newer)
    )
    return "changed" if new_low > high or new_high < low else "within noise"
