"""What `bakeoff compare` shows: the choice then and now, and what changed in question, surroundings and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bakeoff.decide.across.change import Change, ScenarioChange
from bakeoff.decide.across.figures import Figure, Span
from bakeoff.decide.across.question import Difference
from bakeoff.decide.across.words import value
from bakeoff.decide.wording import listed
from bakeoff.show import numbers
from bakeoff.show.scale import fitting
from bakeoff.show.sheet import Grid, Sheet

_LONGEST = 120
"""Characters of a field's value: a list of candidates may be long."""

_DRIFT = (
    "Changed: the two 95 % intervals are apart. They hold what differs within a run; a machine drifts from day to day,"
    " too, so that a small change is a reason to measure again and no proof."
)


def sheets(change: Change) -> list[Sheet]:
    """A sheet for each scenario, then what changed around all of them."""
    return [*map(_scenario, change.scenarios), _surroundings(change)]


def _scenario(one: ScenarioChange) -> Sheet:
    grids = [
        _differences("the question", one.question),
        _differences("engine", one.engines),
        _fates(one),
        _figures(_telling(one)),
    ]
    quiet = sum(figure.judged == "within noise" for figure in one.figures)
    notes = [f"{when}: {verdict.headline}" for when, verdict in (("Before", one.older), ("Now", one.newer))]
    notes += [f"{quiet} of {len(one.figures)} figures are within noise."] if one.figures else []
    notes += [f"What else changed, and may be why: {'; '.join(one.because)}."] if one.because else []
    return Sheet(one.scenario, one.headline, tuple(grid for grid in grids if grid.rows), tuple(notes))


def _telling(one: ScenarioChange) -> list[Figure]:
    """What changed, and all figures of what was and is chosen; the others are for other programs."""
    chosen = {verdict.choice.candidate for verdict in (one.older, one.newer) if verdict.choice}
    return [figure for figure in one.figures if figure.judged == "changed" or figure.candidate in chosen]


def _surroundings(change: Change) -> Sheet:
    grid = _differences("host and software", change.environment)
    notes = [] if grid.rows else ["Host and software are as they were."]
    if not change.same_host:
        notes.append("Not known to be the same host: costs and quality are compared, latencies never.")
    notes += [f"Only in the newer run: {listed(list(change.new))}."] if change.new else []
    notes += [f"Only in the older run: {listed(list(change.gone))}."] if change.gone else []
    notes.append(_DRIFT)
    return Sheet(f"From run {change.older} to {change.newer}", grids=(grid,) if grid.rows else (), notes=tuple(notes))


def _differences(what: str, found: Iterable[Difference]) -> Grid:
    rows = tuple(
        (one.name, *(numbers.shorten(value(end), _LONGEST) for end in (one.older, one.newer))) for one in found
    )
    return Grid((what, "before", "now"), rows)


def _fates(one: ScenarioChange) -> Grid:
    rows = tuple((fate.candidate, fate.turn, fate.outcome, fate.reason) for fate in one.fates)
    return Grid(("candidate", "", "outcome", "why"), rows)


def _figures(found: Sequence[Figure]) -> Grid:
    """The changed first; each cost in a unit that leaves figures a person can read."""
    order = {"changed": 0, "within noise": 1, "no interval": 2}
    readable = sorted(_readable(found), key=lambda figure: order[figure.judged])
    rows = tuple(_row(figure) for figure in readable)
    bold = frozenset(place for place, figure in enumerate(readable) if figure.judged == "changed")
    return Grid(("candidate", "figure", "before", "now", "change", "judged"), rows, frozenset({2, 3, 4}), bold)


def _readable(found: Sequence[Figure]) -> list[Figure]:
    scales = {
        unit: fitting([min(each.older, each.newer) for each in found if each.unit == unit], unit)
        for unit in {figure.unit for figure in found}
    }
    return [_times(figure, *scales[figure.unit]) for figure in found]


def _times(figure: Figure, factor: float, unit: str) -> Figure:
    def ends(span: Span) -> Span:
        low, high = (None if end is None else end * factor for end in span)
        return low, high

    return replace(
        figure,
        unit=unit,
        older=figure.older * factor,
        newer=figure.newer * factor,
        older_ends=ends(figure.older_ends),
        newer_ends=ends(figure.newer_ends),
    )


def _row(figure: Figure) -> tuple[str, ...]:
    name = figure.name if figure.unit == "bytes" else f"{figure.name}, {figure.unit}"
    change = numbers.percent(figure.change, signed=True) if figure.relative else numbers.change(figure.change)
    before, now = _end(figure, figure.older, figure.older_ends), _end(figure, figure.newer, figure.newer_ends)
    return figure.candidate, name, before, now, change, figure.judged


def _end(figure: Figure, amount: float, ends: Span) -> str:
    if figure.unit == "bytes":
        return numbers.size(amount)
    told = numbers.number(amount) if figure.relative else numbers.change(amount)
    span = numbers.interval(*ends)
    return f"{told} [{span}]" if span else told
