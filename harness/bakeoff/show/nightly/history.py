"""What `bakeoff history` tells: where each benchmark stands after all nights, and what changed its level for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bakeoff.decide.drift.answers import fraction
from bakeoff.decide.drift.past import ChangePoint, History, Point, Series, standing
from bakeoff.show.numbers import ABSENT, interval, percent, shorten
from bakeoff.show.sheet import Grid, Sheet
from bakeoff.store.plain import plain

_LAST = 20
"""How many nights of a single benchmark are shown."""
_CHAINED = (
    "A new pin starts anew at 0. Since the first pin: chained, each new pin taken to lie where the last nights under"
    " the old one were; it is as uncertain as they are."
)


def sheet(found: History) -> Sheet:
    """The benchmarks, then their change points; a single benchmark's last nights besides."""
    grids = [_benchmarks(found), _change_points(found)]
    if len(found.series) == 1:
        grids.append(_nights(found.series[0].points[-_LAST:], found.metric))
    count = len(found.nights)
    return Sheet(
        f"{found.metric.replace('_', ' ')} over {count} night{'s' * (count > 1)}; + is worse",
        _answer(found),
        tuple(grid for grid in grids if grid.rows),
        tuple(_notes(found)),
    )


def to_json(found: History) -> dict[str, Any]:
    """The same for other programs. All changes are fractions, above 0 where it got worse."""
    told: dict[str, Any] = plain(
        {
            "metric": found.metric,
            "nights": [{"night": night, "at": at.isoformat()} for night, at in found.nights.items()],
            "change_points_not_sought": found.not_sought or None,
            "benchmarks": [
                {
                    "benchmark": each.benchmark,
                    "scenario": each.scenario,
                    "candidate": each.candidate,
                    "pins": each.pins,
                    "since_first_pin": fraction(found.metric, standing(each.points)),
                    "nights_left_out": each.left_out,
                    "change_points": [_change_json(change, each) for change in each.changes],
                    "nights": [_night_json(point, found.metric) for point in each.points],
                }
                for each in found.series
            ],
        }
    )
    return told


def what_changed(point: Point) -> tuple[str, ...]:
    """What else is known of a night: a new pin, other versions."""
    return (*(["new pin"] if point.repinned else []), *point.versions)


def _change_json(change: ChangePoint, series: Series) -> dict[str, Any]:
    return {
        "night": change.night,
        "change": change.size,
        "p": change.p,
        "new_pin": series.points[change.place].repinned,
        "versions": series.points[change.place].versions,
    }


def _night_json(point: Point, metric: str) -> dict[str, Any]:
    return {
        "night": point.night,
        "change": fraction(metric, point.value),
        "low": _end(point.low, metric),
        "high": _end(point.high, metric),
        "since_first_pin": fraction(metric, point.level),
        "sessions": point.sessions,
        "status": point.status or None,
        "pin": point.pin,
        "new_pin": point.repinned,
        "versions": point.versions,
    }


def _answer(found: History) -> str:
    if found.not_sought:
        return "Change points were not looked for."
    changed = [each for each in found.series if each.changes]
    count = sum(len(each.changes) for each in changed)
    if not count:
        return "No level has changed for good."
    return f"{count} change point{'s' * (count > 1)}, in {len(changed)} of {len(found.series)} benchmark{_s(found)}."


def _s(found: History) -> str:
    return "s" * (len(found.series) > 1)


def _benchmarks(found: History) -> Grid:
    titles = ("benchmark", "nights", "last night", "against its pin", "99 % interval", "since the first pin", "pins")
    rows = tuple(_row(each, found.metric) for each in found.series)
    return Grid(titles, rows, frozenset({1, 3, 4, 5, 6}))


def _row(each: Series, metric: str) -> tuple[str, ...]:
    last = each.points[-1]
    return (
        shorten(each.benchmark, 60),
        str(len(each.points)),
        f"{last.at:%Y-%m-%d}",
        _signed(last.value, metric),
        _around(last, metric),
        _signed(standing(each.points), metric),
        str(each.pins),
    )


def _change_points(found: History) -> Grid:
    rows = tuple(
        (
            shorten(each.benchmark, 60),
            change.night,
            percent(change.size, signed=True),
            f"{change.p:.0e}",
            shorten(", ".join(what_changed(each.points[change.place])) or ABSENT, 60),
        )
        for each in found.series
        for change in each.changes
    )
    return Grid(("change point", "from night", "by", "p", "changed that night"), rows, frozenset({2, 3}))


def _nights(points: Sequence[Point], metric: str) -> Grid:
    titles = ("night", "against its pin", "99 % interval", "since the first pin", "sessions", "answer", "changed")
    rows = tuple(
        (
            point.night,
            _signed(point.value, metric),
            _around(point, metric),
            _signed(point.level, metric),
            str(point.sessions),
            point.status or ABSENT,
            shorten(", ".join(what_changed(point)), 40),
        )
        for point in points
    )
    return Grid(titles, rows, frozenset({1, 2, 3, 4}))


def _around(point: Point, metric: str) -> str:
    if point.low is None or point.high is None:
        return ABSENT
    return f"{interval(*(100 * fraction(metric, end) for end in (point.low, point.high)))} %"


def _end(value: float | None, metric: str) -> float | None:
    return None if value is None else fraction(metric, value)


def _signed(change: float, metric: str) -> str:
    return percent(fraction(metric, change), signed=True)


def _notes(found: History) -> Iterator[str]:
    if found.not_sought:
        yield f"No change points: {found.not_sought}."
    if any(each.pins > 1 for each in found.series):
        yield _CHAINED
    for each in found.series:
        if each.left_out:
            yield f"{each.benchmark}: {each.left_out} nights without a pin that could be run are left out."
        for point in each.points:
            if point.repinned and point.versions:
                yield (
                    f"{each.benchmark}: the pin of {point.night} came with {shorten(', '.join(point.versions), 60)};"
                    " what that cost was not measured against the old pin and is not in the chain."
                )
