"""The chart of all nights: a small panel for each benchmark, its change since the first pin, and what lay behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bakeoff.decide.drift.answers import fraction
from bakeoff.decide.drift.past import ChangePoint, History, Point, Series
from bakeoff.errors import UserError
from bakeoff.show import drawing as draw
from bakeoff.show.nightly.history import what_changed
from bakeoff.show.numbers import percent, shorten
from bakeoff.show.placing import Box, place

Drawn = Callable[[float], float]
"""From a log ratio to the fraction that is drawn."""

MOST = 60
"""Panels; the rest are counted."""
_WRITERS = {".png": draw.write_png, ".svg": draw.write_svg}
_PANEL_INCHES, _TOP_INCHES, _FOOT_INCHES, _WIDTH_INCHES = 1.75, 0.38, 0.55, 7.6
_LEFT_INCHES, _RIGHT_INCHES = 0.62, 0.14
_IN_A_COLUMN = 5
_DATES = 6
_NARROWEST = 0.03
"""Half the height of a panel at least, so that noise looks like noise."""
_STATUS = {"regression": draw.MISS, "improved": draw.CHOICE}


def check(path: Path) -> None:
    """Raise UserError where a file is neither a PNG nor an SVG."""
    if path.suffix not in _WRITERS:
        raise UserError(f"--figure {path}: must end in .png or .svg")


def save(found: History, path: Path) -> None:
    """Write the chart as PNG or SVG, by the file's ending; raises UserError where it cannot be written."""
    check(path)
    try:
        _WRITERS[path.suffix](chart(found), path)
    except OSError as error:
        raise UserError(f"--figure {path}: cannot be written: {error.strerror}") from None


def chart(found: History) -> Figure:
    """Every benchmark's nights on one row of nights, so that what happened to all of them lies in one line."""
    shown = found.series[:MOST]
    columns = 1 if len(shown) <= _IN_A_COLUMN else 2
    rows = ceil(len(shown) / columns)
    width, height = _WIDTH_INCHES * (1 + 0.6 * (columns - 1)), rows * _PANEL_INCHES + _TOP_INCHES + _FOOT_INCHES
    figure = draw.blank((width, height))
    share = 1 / columns
    for number, series in enumerate(shown):
        row, column = divmod(number, columns)
        bottom = height - _TOP_INCHES - (row + 1) * _PANEL_INCHES + 0.24
        left = column * share + _LEFT_INCHES / width
        across = share - (_LEFT_INCHES + _RIGHT_INCHES) / width
        panel = draw.axes(figure, (left, bottom / height, across, (_PANEL_INCHES - 0.5) / height))
        _panel(panel, series, found)
    _title(figure, found, height)
    draw.legend(figure, _legend(), 8)
    return figure


def _title(figure: Figure, found: History, height: float) -> None:
    name = found.metric.replace("_", " ")
    more = len(found.series) - MOST
    title = f"Change of {name} since the first pin, each night with its 99 % interval (up is worse)"
    if more > 0:
        title += f"; {more} more benchmarks are not drawn"
    if found.not_sought:
        title += "; change points were not looked for"
    quiet = {"transform": figure.transFigure, "color": draw.MUTED, "fontsize": draw.SMALL + 0.5}
    draw.write(figure.axes[0], 0.01, 1 - 0.12 / height, title, va="top", **quiet)


def _legend() -> list[Line2D]:
    return [
        _dot("night", draw.OTHER),
        _dot("regression", draw.MISS),
        _dot("improved", draw.CHOICE),
        Line2D([], [], color=draw.MISS, linewidth=1.2, label="change for worse"),
        Line2D([], [], color=draw.CHOICE, linewidth=1.2, label="for better"),
        Line2D([], [], color=draw.INK, linewidth=1.4, label="level"),
        Line2D([], [], color=draw.MUTED, linewidth=1.0, linestyle=(0, (2, 2)), label="new pin"),
        draw.mark("versions", "D", 4),
    ]


def _dot(name: str, colour: str) -> Line2D:
    return Line2D([], [], marker="o", markersize=3.5, linestyle="none", color=colour, label=name)


def _panel(panel: Axes, series: Series, found: History) -> None:
    order = {night: number for number, night in enumerate(found.nights)}
    places = [order[point.night] for point in series.points]
    drawn = partial(fraction, found.metric)
    low, high = _limits(series.points, drawn)
    panel.set_xlim(-0.8, max(len(order) - 0.2, 0.8))
    panel.set_ylim(low, high)
    panel.axhline(0.0, color=draw.OTHER, linewidth=0.8, zorder=1)
    _nights(panel, series.points, places, drawn)
    _levels(panel, series, places, drawn)
    _events(panel, series, places)
    _scales(panel, found)
    quiet = {"transform": panel.transAxes, "fontsize": draw.SMALL + 0.5}
    draw.write(panel, 0, 1.05, shorten(series.benchmark, 80), va="bottom", **quiet)


def _limits(points: Sequence[Point], drawn: Drawn) -> tuple[float, float]:
    """Room for every night's value, and for words above them; intervals may leave the panel."""
    levels = [drawn(point.level) for point in points]
    low, high = min(*levels, -_NARROWEST), max(*levels, _NARROWEST)
    return low - 0.12 * (high - low), high + 0.3 * (high - low)


def _nights(panel: Axes, points: Sequence[Point], places: Sequence[int], drawn: Drawn) -> None:
    for colour in (draw.OTHER, *_STATUS.values()):
        told = [each for each in zip(places, points, strict=True) if _STATUS.get(each[1].status, draw.OTHER) == colour]
        if not told:
            continue
        bars = [
            (x, drawn(point.level - point.value + point.low), drawn(point.level - point.value + point.high))
            for x, point in told
            if point.low is not None and point.high is not None
        ]
        across, low, high = zip(*bars, strict=True) if bars else ((), (), ())
        panel.vlines(across, low, high, colors=colour, linewidth=1.6, alpha=0.3, zorder=2)
        levels = [drawn(point.level) for _, point in told]
        mark: Any = {"marker": "o", "markersize": 2.8, "color": colour, "linestyle": "none", "zorder": 3}
        panel.plot([x for x, _ in told], levels, **mark)


def _levels(panel: Axes, series: Series, places: Sequence[int], drawn: Drawn) -> None:
    """The mean between one change point and the next, where there are any."""
    if not series.changes:
        return
    edges = [0, *(change.place for change in series.changes), len(places)]
    for begin, end in pairwise(edges):
        levels = [point.level for point in series.points[begin:end]]
        mean = drawn(sum(levels) / len(levels))
        ends = [places[begin] - 0.5, places[end - 1] + 0.5]
        panel.plot(ends, [mean, mean], color=draw.INK, linewidth=1.4, solid_capstyle="butt", zorder=4)


def _events(panel: Axes, series: Series, places: Sequence[int]) -> None:
    for x, point in zip(places, series.points, strict=True):
        if point.repinned:
            panel.axvline(x - 0.5, color=draw.MUTED, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    versions = [x for x, point in zip(places, series.points, strict=True) if point.versions]
    at_foot: Any = {"transform": panel.get_xaxis_transform(), "clip_on": False, "zorder": 5, **draw.HOLLOW}
    panel.plot(versions, [0.04] * len(versions), marker="D", markersize=4, **at_foot)
    for change in series.changes:
        panel.axvline(places[change.place] - 0.5, color=_colour(change), linewidth=1.2, zorder=2)
    taken = [_around_line(panel, places[change.place] - 0.5) for change in series.changes]
    for change in series.changes:
        _label(panel, places[change.place] - 0.5, change, series.points[change.place], taken)


def _around_line(panel: Axes, x: float) -> Box:
    across, bounds = panel.transData.transform((x, 0.0))[0], panel.get_window_extent()
    return across - 1.0, bounds.y0, across + 1.0, bounds.y1


def _label(panel: Axes, x: float, change: ChangePoint, point: Point, taken: list[Box]) -> None:
    """By how much, and what changed that night, beside its line; without the latter where there is no room for it."""
    size, causes = percent(change.size, signed=True), what_changed(point)
    more = f" and {len(causes) - 1} more" if len(causes) > 1 else ""
    style = {
        "bbox": {"facecolor": draw.PAPER, "edgecolor": "none", "pad": 1.0},
        "zorder": 6,
        "fontsize": draw.SMALL - 0.5,
        "color": _colour(change),
        "va": "center",
    }
    bounds = panel.get_window_extent()
    across, top = panel.transData.transform((x, panel.get_ylim()[1]))
    for words in dict.fromkeys((f"{size}: {shorten(causes[0], 44)}{more}" if causes else size, size)):
        text = draw.write(panel, 0, 0, words, **style)
        extent = draw.text_size(text)
        frame = (bounds.x0, bounds.y0, bounds.x1, bounds.y1)
        spot = place((across, top - 0.75 * extent[1]), extent, taken, [], frame, gap=4.0)
        if spot is not None:
            aside = spot.box[0] if spot.x > across else spot.box[2]
            left, middle = panel.transData.inverted().transform((aside, spot.y))
            text.set(position=(left, middle), ha="left" if spot.x > across else "right")
            taken.append(spot.box)
            return
        text.remove()


def _colour(change: ChangePoint) -> str:
    return draw.MISS if change.size > 0 else draw.CHOICE


def _scales(panel: Axes, found: History) -> None:
    begun = list(found.nights.values())
    ticks = range(0, len(begun), ceil(len(begun) / _DATES))
    panel.set_xticks(ticks, [f"{begun[tick]:%Y-%m-%d}" for tick in ticks])
    panel.yaxis.set_major_locator(MaxNLocator(nbins=4))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: percent(round(y, 9), signed=True)))
