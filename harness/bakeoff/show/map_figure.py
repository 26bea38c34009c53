"""The decision map drawn: a panel for each SLA, batch size across, the fleet's QPS up, the winner as colour."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import NullLocator

from bakeoff.decide.maps.decision_map import DecisionMap, Point
from bakeoff.decide.what_if.settling import NONE, TIE
from bakeoff.show import drawing as draw
from bakeoff.show.numbers import exact, percentile_name, shorten

PALETTE = (draw.CHOICE, "#e0902a", "#2e8b6a", "#8f5fb0", "#c9587e", "#7a8f2a")
"""They stay apart for colour-blind readers; the names in the legend stand in the same order."""
_HATCH = "////"
_NAME = 44


def map_figure(found: DecisionMap, *, narrow: bool = False) -> Figure:
    """Who wins where. Hatched: beyond what was measured. Circles: sizes and rates that one replica was asked for."""
    limits = sorted({point.sla_ms for point in found.points})
    colours = colours_of(found.winners)
    handles = _handles(found, colours)
    columns, legend_columns = (2, 1) if narrow else (4, 2)
    rows = math.ceil(len(limits) / columns)
    width, panel = (4.1, 1.75) if narrow else (7.6, 2.1)
    below = 0.5 + 0.165 * math.ceil(len(handles) / legend_columns)
    height = rows * (panel + 0.42) + below
    figure = draw.blank((width, height))
    left = 0.62 / width
    each = (0.985 - left) / columns
    for place, limit in enumerate(limits):
        row, column = divmod(place, columns)
        bottom = (height - 0.36 - row * (panel + 0.42) - panel) / height
        axes = draw.axes(figure, (left + column * each, bottom, each - 0.1 / width, panel / height))
        _panel(axes, found, limit, colours, labelled=column == 0)
    draw.write(
        figure.axes[0], 0.004, 1 - 0.03 / height, "Fleet, requests/s", transform=figure.transFigure, va="top",
        color=draw.MUTED, fontsize=draw.SMALL,
    )  # fmt: skip
    draw.write(
        figure.axes[0], 0.985, (below - 0.38) / height, "Items a request", transform=figure.transFigure, ha="right",
        color=draw.MUTED, fontsize=draw.SMALL,
    )  # fmt: skip
    draw.legend(figure, handles, legend_columns)
    return figure


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; more names than there are colours share the last, grey one."""
    return dict(zip(names, itertools.chain(PALETTE, itertools.repeat(draw.OTHER)), strict=False))


def map_words(found: DecisionMap) -> str:
    """The map in a sentence for those who cannot see it."""
    wins = [f"{shorten(name, 80)} at {sum(point.winner == name for point in found.points)}" for name in found.winners]
    ties, none = (sum(point.winner == what for point in found.points) for what in (TIE, NONE))
    who = ", ".join([*wins, f"tie at {ties}", f"none at {none}"])
    return f"Who wins, of {len(found.points)} points of QPS, batch size and SLA: {who}."


def _panel(axes: Axes, found: DecisionMap, limit: float, colours: Mapping[str, str], labelled: bool) -> None:
    points = [point for point in found.points if point.sla_ms == limit]
    sizes, rates = (sorted({getattr(point, name) for point in points}) for name in ("batch_size", "qps"))
    across, up = _edges(sizes), _edges(rates)
    axes.set(xscale="log", yscale="log", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    axes.grid(False)
    for column, size in enumerate(sizes):
        for first, last, point in _runs([point for point in points if point.batch_size == size]):
            axes.add_patch(
                Rectangle(
                    (across[column], up[first]), across[column + 1] - across[column], up[last + 1] - up[first],
                    facecolor=_colour(point.winner, colours), linewidth=0.0,
                    edgecolor=draw.PAPER if point.winner in colours else draw.OTHER,
                    hatch=_HATCH if point.extrapolated else None,
                )
            )  # fmt: skip
    _marks(axes, found, limit)
    asked = [size for size in sizes if any(size == each for each, _ in found.measured)]
    axes.set_xticks(_spread([sizes[0], *asked[:1], *asked[-1:]]))
    axes.set_xticklabels([exact(tick) for tick in axes.get_xticks()])
    ticks = [10.0**power for power in range(math.ceil(math.log10(up[0])), math.floor(math.log10(up[-1])) + 1)]
    axes.set_yticks(ticks, [exact(tick) if labelled else "" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    own = found.scenario.sla is not None and limit == found.scenario.sla.limit_ms
    name = percentile_name(found.scenario.sla.percentile if found.scenario.sla else 99.0)
    draw.write(
        axes, 0.5, 1.03, f"{name} within {exact(limit)} ms", transform=axes.transAxes, ha="center",
        fontsize=draw.SMALL, fontweight="bold" if own else "normal",
    )  # fmt: skip


def _marks(axes: Axes, found: DecisionMap, limit: float) -> None:
    """What was measured, and where the scenario lies."""
    for size, qps in found.measured:
        axes.plot([size], [qps], marker="o", markersize=3, markeredgewidth=0.7, zorder=4, **draw.HOLLOW)
    traffic, sla = found.scenario.traffic, found.scenario.sla
    if traffic.fleet_qps is not None and sla is not None and limit == sla.limit_ms:
        axes.plot([traffic.mean_items], [traffic.fleet_qps], marker="D", markersize=5, zorder=4, **draw.HOLLOW)


def _runs(points: Sequence[Point]) -> Iterator[tuple[int, int, Point]]:
    """The points of one column from the least rate up, neighbours that look alike as one: first, last, the point."""
    ascending = sorted(points, key=lambda point: point.qps)
    place = 0
    for _, group in itertools.groupby(ascending, key=lambda point: (point.winner, point.extrapolated)):
        alike = list(group)
        yield place, place + len(alike) - 1, alike[0]
        place += len(alike)


def _edges(middles: Sequence[float]) -> list[float]:
    """Where cells end on a log scale: half-way between neighbours."""
    between = [math.sqrt(one * other) for one, other in itertools.pairwise(middles)]
    if not between:
        return [middles[0] / 2, middles[0] * 2]
    return [middles[0] ** 2 / between[0], *between, middles[-1] ** 2 / between[-1]]


def _spread(ticks: Sequence[int]) -> list[int]:
    """Those that are far enough from the one before for their numbers to stand side by side."""
    kept = list[int]()
    for tick in sorted(set(ticks)):
        if not kept or tick / kept[-1] >= 2.5:
            kept.append(tick)
    return kept


def _colour(winner: str, colours: Mapping[str, str]) -> str:
    return {TIE: draw.LINE, NONE: draw.BEYOND}.get(winner) or colours[winner]


def _handles(found: DecisionMap, colours: Mapping[str, str]) -> list[Patch | Line2D]:
    """The legend: winners, then what else there is on the map."""
    drawn = {point.winner for point in found.points}
    handles: list[Patch | Line2D] = [draw.swatch(shorten(name, _NAME), colour) for name, colour in colours.items()]
    if TIE in drawn:
        handles.append(draw.swatch("tie: cannot be told apart, or as many replicas", draw.LINE))
    if NONE in drawn:
        handles.append(draw.swatch("none holds the SLA", draw.BEYOND))
    if any(point.extrapolated for point in found.points):
        handles.append(draw.swatch("hatched: beyond what was measured", draw.OTHER, _HATCH))
    handles.append(draw.mark("sizes and rates that one replica was asked for", "o", 3.5))
    if found.scenario.traffic.fleet_qps is not None:
        handles.append(draw.mark("the scenario", "D", 5))
    return handles
