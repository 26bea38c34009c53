"""The three gates of a verdict (latency, quality, headroom), each with its margin, as every renderer shows them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.decide.quality import allowed_loss
from bakeoff.scenario import Floor
from bakeoff.show.numbers import ABSENT, change, clean, exact, interval, known, ms, number, percent, percentile_name
from bakeoff.store.record import OK, Quality

PASSES, MISSES, UNDECIDED, NO_LIMIT, UNKNOWN = "passes", "misses", "undecided", "no limit", "not measured"


@dataclass(frozen=True, slots=True)
class Bar:
    """Where a figure, its interval and its limit lie on a bar from 0 to 1; `bad` is the stretch beyond the limit."""

    value: float
    limit: float
    bad: tuple[float, float]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: `figure` against `limit`, the `margin` between them in words, the `status`, and a bar if drawable."""

    name: str
    status: str
    figure: str
    limit: str
    margin: str
    detail: str = ""
    bar: Bar | None = None


def subject(verdict: Verdict) -> Judgement | None:
    """Whose gates to show: the choice, else what leads, else the one that came nearest to passing."""
    return verdict.choice or verdict.leader or verdict.nearest


def gates(verdict: Verdict) -> tuple[Gate, ...]:
    """Latency, quality and headroom of the verdict's subject; empty where nothing was measured."""
    judged = subject(verdict)
    if judged is None:
        return ()
    return latency_gate(verdict, judged), quality_gate(verdict, judged), headroom_gate(verdict, judged)


def latency_gate(verdict: Verdict, judged: Judgement) -> Gate:
    """The SLA's percentile against its limit."""
    limit_ms = (verdict.sla or {}).get("limit_ms")
    name = f"Latency {percentile_name(judged.percentile)}"
    ends = interval(judged.p99_low_ms, judged.p99_high_ms)
    detail = f"95 % interval {ends} ms" if ends else ""
    if not limit_ms:
        return Gate(name, NO_LIMIT, ms(judged.p99_ms), "no SLA", "nothing to miss", detail)
    if judged.p99_ms is None or not known(judged.p99_ms):
        return Gate(name, UNKNOWN, ABSENT, f"of {exact(limit_ms)} ms", "")
    span = max(limit_ms, judged.p99_high_ms or judged.p99_ms) * 1.15
    bar = _bar(judged.p99_ms, limit_ms, judged.p99_low_ms, judged.p99_high_ms, (0.0, span), bad_above=True)
    spare = 1 - judged.p99_ms / limit_ms
    margin = f"{percent(spare)} to spare" if spare >= 0 else f"{percent(-spare)} over"
    status = _status(judged, "sla-missed", spare >= 0)
    return Gate(name, status, ms(judged.p99_ms), f"of {exact(limit_ms)} ms", margin, detail, bar)


def quality_gate(verdict: Verdict, judged: Judgement) -> Gate:
    """The metric with the least room to its floor; a lossless candidate gives the base model's own answers."""
    loss = _tightest(verdict.floors, judged.quality)
    if not verdict.floors:
        return Gate("Quality", NO_LIMIT, change_words(judged.quality.values()), "no floor", "nothing to miss")
    if loss is None:
        return Gate("Quality", UNKNOWN, ABSENT, _floors(verdict.floors), "")
    quality, floor = loss
    lost = _lost(quality)
    spare = floor - lost.value
    span = max(floor, abs(lost.high), abs(lost.low)) * 1.3
    bar = _bar(lost.value, floor, lost.low, lost.high, (min(0.0, lost.low) - span * 0.15, span), bad_above=True)
    margin = f"{number(spare, 2)} to spare" if spare >= 0 else f"{number(-spare, 2)} too much"
    detail = f"{number(quality.base, 4)} → {number(quality.value, 4)}"
    if known(quality.low) and known(quality.high):
        detail += f" ({change(quality.low)} to {change(quality.high)})"
    return Gate(
        f"Quality {clean(quality.metric)}",
        _status(judged, "quality-missed", spare >= 0, surely=lost.high <= floor),
        change(quality.delta),
        f"floor {'-' if quality.higher_is_better else '+'}{exact(floor)}",
        margin,
        detail,
        bar,
    )


def headroom_gate(verdict: Verdict, judged: Judgement) -> Gate:
    """What one replica can carry within the SLA, against the rate it is asked to."""
    qps = verdict.traffic.get("rate")
    capacity = judged.capacity_qps
    if not qps:
        if verdict.traffic.get("open_loop"):
            return Gate("Capacity", NO_LIMIT, f"{number(capacity)} /s", "as much as it can", capacity_words(judged))
        carried = f"{number(judged.items_per_s)} items/s" if known(judged.items_per_s) else ABSENT
        return Gate("Headroom", NO_LIMIT, carried, "no rate asked", "nothing to miss")
    if capacity is None or not known(capacity):
        return Gate("Headroom", UNKNOWN, ABSENT, f"for {exact(qps)} /s", "")
    span = max(capacity, judged.capacity_high_qps or 0.0, qps) * 1.1
    bar = _bar(capacity, qps, judged.capacity_low_qps, judged.capacity_high_qps, (0.0, span), bad_above=False)
    return Gate(
        "Headroom",
        _status(judged, "sla-missed", capacity >= qps, surely=(judged.capacity_low_qps or 0.0) >= qps),
        f"{number(capacity)} /s",
        f"for {exact(qps)} /s",
        f"{number(capacity / qps, 3)} times what is asked",
        capacity_words(judged),
        bar,
    )


def capacity_words(judged: Judgement) -> str:
    """The rates that passed and failed around the capacity, or what it was replayed from; empty where unknown."""
    low, high = judged.capacity_low_qps, judged.capacity_high_qps
    if not judged.capacity_measured:
        ends = interval(low, high)
        return f"replayed from service times, 95 % interval {ends} /s" if ends else ""
    words = [f"holds at {number(low)} /s"] * (low is not None) + [f"fails at {number(high)} /s"] * (high is not None)
    return ", ".join(words)


def change_words(qualities: Iterable[Quality], between: str = ", ") -> str:
    """What each metric changes by against the base; a dash where there is none."""
    return between.join(f"{clean(one.metric)} {change(one.delta)}" for one in qualities) or ABSENT


@dataclass(frozen=True, slots=True)
class _Lost:
    value: float
    low: float
    high: float


def _lost(quality: Quality) -> _Lost:
    sign = -1.0 if quality.higher_is_better else 1.0
    ends = sorted(sign * (end if math.isfinite(end) else quality.delta) for end in (quality.low, quality.high))
    return _Lost(sign * quality.delta, ends[0], ends[1])


def _tightest(floors: Mapping[str, Any], qualities: Mapping[str, Quality]) -> tuple[Quality, float] | None:
    pairs = [
        (quality, allowed_loss(Floor.model_validate(floors[name]), quality.base))
        for name, quality in qualities.items()
        if name in floors and known(quality.delta)
    ]
    return min(pairs, key=lambda pair: (pair[1] - _lost(pair[0]).high) / (pair[1] or 1.0), default=None)


def _status(judged: Judgement, missed: str, inside: bool, surely: bool = False) -> str:
    """`inside`: the figure keeps the limit; `surely`: so does its whole interval. An outcome of `decide` goes first."""
    if judged.outcome == OK or (surely and judged.outcome != missed):
        return PASSES
    if judged.outcome == "undecided" and inside:
        return UNDECIDED
    return PASSES if inside and judged.outcome != missed else MISSES


def _bar(
    value: float,
    limit: float,
    low: float | None,
    high: float | None,
    span: tuple[float, float],
    *,
    bad_above: bool,
) -> Bar:
    start, end = span

    def at(figure: float) -> float:
        return min(1.0, max(0.0, (figure - start) / (end - start))) if end > start else 0.0

    ends = (at(low), at(high)) if low is not None and high is not None and known(low) and known(high) else (None, None)
    return Bar(at(value), at(limit), (at(limit), 1.0) if bad_above else (0.0, at(limit)), *ends)


def _floors(floors: Mapping[str, Any]) -> str:
    return ", ".join(f"{clean(name)} floor" for name in floors)
