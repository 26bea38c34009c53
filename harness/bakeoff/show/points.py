"""Where each candidate of a verdict lies on the main chart, and which ones its axes cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.decide.judgement import NO_FAILURE, Judgement, Verdict
from bakeoff.show import drawing as draw
from bakeoff.show.gutter import Outside
from bakeoff.show.numbers import known, ms

_NAMED_RIVALS = 3
_DEARER = 1.4
"""How much dearer than the dearest contender a point may be and still lie on the axes."""


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate on the chart: its number in the table, its name, place and intervals, and how it is drawn."""

    number: int | None
    name: str
    x: float
    y: float
    x_ends: tuple[float, float] | None
    y_ends: tuple[float, float] | None
    kind: str
    """"choice", "set" (cannot be told apart from it), "other", "miss" (misses a gate), "production"."""
    serves_today: bool = False
    named: bool = False

    @property
    def colour(self) -> str:
        """Blue for what the verdict recommends, red for what missed a gate, grey for the rest."""
        return {"choice": draw.CHOICE, "set": draw.CHOICE, "miss": draw.MISS, "production": draw.INK}.get(
            self.kind, draw.OTHER
        )

    @property
    def marker(self) -> str:
        """A shape for each fate, so that nothing is told by colour alone."""
        return "X" if self.kind == "miss" else "s" if self.kind == "production" else "D" if self.serves_today else "o"


@dataclass(frozen=True, slots=True)
class Scales:
    """The stretch of both axes, in their units."""

    x: tuple[float, float]
    y: tuple[float, float]


def quantity(verdict: Verdict) -> tuple[str, str]:
    """The attribute on the upright axis and its title: cost where any is known, else capacity."""
    if any(known(one.cost) for one in verdict.candidates):
        return "cost", f"Cost, {verdict.cost_unit} (lower is better)"
    return "capacity_qps", "Capacity, requests/s (higher is better)"


def sort_out(verdict: Verdict) -> tuple[list[Point], list[Outside], Scales]:
    """Which candidates lie on the axes, which beside them, and the axes' stretch."""
    attribute, _ = quantity(verdict)
    pairs = [(place, one, getattr(one, attribute)) for place, one in enumerate(verdict.candidates, 1)]
    drawable = [(place, one) for place, one, y in pairs if known(one.p99_ms) and known(y)]
    points = [_point(place, one, verdict, attribute) for place, one in drawable]
    points += _production(verdict, attribute)
    scales = _scales(points, verdict, attribute)
    inside = [point for point in points if point.x <= scales.x[1] and point.y <= scales.y[1]]
    numbers = {point.number for point in inside}
    outside = [_outside(place, one) for place, one, _ in pairs if place not in numbers]
    return inside, outside, scales


def _point(place: int, one: Judgement, verdict: Verdict, attribute: str) -> Point:
    stem = attribute.removesuffix("_qps")
    suffix = "_qps" if attribute.endswith("_qps") else ""
    chosen = verdict.choice is not None and one.candidate == verdict.choice.candidate
    kind = "choice" if chosen else "set" if one.candidate in verdict.set else "other"
    if one.outcome not in NO_FAILURE:
        kind = "miss"
    today = verdict.incumbent is not None and one.candidate == verdict.incumbent.candidate
    return Point(
        place,
        one.candidate,
        one.p99_ms or 0.0,
        getattr(one, attribute),
        _ends(one.p99_low_ms, one.p99_high_ms),
        _ends(getattr(one, f"{stem}_low{suffix}"), getattr(one, f"{stem}_high{suffix}")),
        kind,
        serves_today=today,
        named=chosen or today or place <= _NAMED_RIVALS + 1,
    )


def _production(verdict: Verdict, attribute: str) -> list[Point]:
    figures = verdict.production or {}
    x, y = figures.get("p99_ms"), figures.get(attribute)
    if x is None or y is None or not (known(x) and known(y)):
        return []
    return [Point(None, str(figures.get("name", "production")), x, y, None, None, "production", True, named=True)]


def _ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    return (low, high) if low is not None and high is not None and known(low) and known(high) else None


def _scales(points: Sequence[Point], verdict: Verdict, attribute: str) -> Scales:
    """Axes that show the contenders well: what is far beyond the limit or far dearer goes to the gutter."""
    limit = (verdict.sla or {}).get("limit_ms")
    contenders = [point for point in points if point.kind != "miss"] or points
    right = max((_top(point.x, point.x_ends) for point in contenders), default=1.0) * 1.08 or 1.0
    if limit:
        right = max(limit * 1.25, min(right, limit * 2))
    top = max((_top(point.y, point.y_ends) for point in contenders), default=1.0) * (
        _DEARER if attribute == "cost" else 1
    )
    held = [point for point in points if point.x <= right and point.y <= top] or [Point(None, "", 0, 0, None, None, "")]
    top = max(_top(point.y, point.y_ends) for point in held)
    bottom = min(max(point.y_ends[0], point.y / 2) if point.y_ends else point.y for point in held)
    room = (top - bottom) or top or 1.0
    return Scales((0.0, right), (max(0.0, bottom - 0.22 * room), top + 0.22 * room))


def _top(middle: float, ends: tuple[float, float] | None) -> float:
    """How far the axes reach for a point: to the end of its interval, unless that would squeeze all others."""
    return min(ends[1], 2 * middle) if ends else middle


def _outside(place: int, one: Judgement) -> Outside:
    failed = one.outcome not in NO_FAILURE
    return Outside(place, one.candidate, ms(one.p99_ms) if known(one.p99_ms) else one.outcome.replace("-", " "), failed)
