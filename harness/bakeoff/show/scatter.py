"""The main chart: what each candidate costs (or carries) against its latency, failures in a gutter at the edge."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakeoff.decide.judgement import Verdict
from bakeoff.show import drawing as draw
from bakeoff.show.gutter import gutter
from bakeoff.show.numbers import exact, ms, percentile_name, shorten
from bakeoff.show.placing import Box, place
from bakeoff.show.points import Point, Scales, quantity, sort_out

WIDE, NARROW = (7.6, 3.7), (4.1, 4.3)


def scatter(verdict: Verdict, *, narrow: bool = False) -> Figure:
    """Cost (or capacity) against the SLA's percentile in ms, with 95 % error bars and the SLA's line.

    `narrow` is for a phone: the gutter lies below instead of beside, and names only crosses' numbers.
    """
    points, outside, scales = sort_out(verdict)
    figure = draw.blank(NARROW if narrow else WIDE)
    main = draw.axes(figure, (0.13, 0.27, 0.83, 0.66) if narrow else (0.062, 0.125, 0.65, 0.805))
    main.set_xlim(*scales.x)
    main.set_ylim(*scales.y)
    _titles(main, verdict)
    name, line = _sla_line(main, verdict, scales)
    for point in sorted(points, key=lambda point: point.kind == "choice"):
        _mark(main, point)
    _labels(main, points, name, line, narrow)
    gutter(figure, outside, narrow)
    return figure


def alt_text(verdict: Verdict) -> str:
    """The chart in one sentence for those who cannot see it."""
    points, outside, _ = sort_out(verdict)
    best = next((point for point in points if point.kind == "choice"), None)
    lead = f" The choice, {best.name}, lies at {ms(best.x)}." if best else ""
    return (
        f"{quantity(verdict)[1]}, against latency for {len(points)} candidates, with {len(outside)} more that the axes "
        f"do not hold.{lead} The table below holds every figure."
    )


def _titles(main: Axes, verdict: Verdict) -> None:
    percentile = (verdict.sla or {}).get("percentile") or next((one.percentile for one in verdict.candidates), 99.0)
    main.set_xlabel(
        f"{percentile_name(percentile)} latency, ms (lower is better)", color=draw.MUTED, fontsize=draw.SMALL + 0.5
    )
    draw.write(
        main,
        0,
        1.025,
        shorten(quantity(verdict)[1], 70),
        transform=main.transAxes,
        color=draw.MUTED,
        fontsize=draw.SMALL + 0.5,
        va="bottom",
        ha="left",
    )


def _sla_line(main: Axes, verdict: Verdict, scales: Scales) -> tuple[list[Box], list[Box]]:
    """The limit, what lies beyond it shaded; gives back the pixels of its name, and of the line."""
    limit = (verdict.sla or {}).get("limit_ms")
    if not limit:
        return [], []
    main.axvspan(limit, scales.x[1], color=draw.BEYOND, linewidth=0, zorder=0.5)
    main.axvline(limit, color=draw.MISS, linewidth=1.2, linestyle=(0, (5, 3)), zorder=2)
    name = draw.write(
        main,
        limit + 0.008 * scales.x[1],
        0.985,
        f"SLA {exact(limit)} ms",
        transform=main.get_xaxis_transform(),
        color=draw.MISS,
        fontsize=draw.SMALL + 0.5,
        va="top",
        ha="left",
    )
    left, bottom = main.transData.transform((limit, scales.y[0]))
    _, top = main.transData.transform((limit, scales.y[1]))
    width, height = draw.text_size(name)
    return [(left, top - height - 4, left + width, top)], [(left - 2, bottom, left + 2, top)]


def _mark(main: Axes, point: Point) -> None:
    hollow = point.serves_today and point.kind != "choice"
    size = {"choice": 9.5, "set": 7.5, "miss": 6.5}.get(point.kind, 7.0 if point.serves_today else 5.5)
    main.errorbar(
        point.x,
        point.y,
        xerr=_arms(point.x, point.x_ends),
        yerr=_arms(point.y, point.y_ends),
        fmt="none",
        ecolor=point.colour,
        elinewidth=1.0,
        alpha=0.55,
        zorder=3,
    )
    main.plot(
        [point.x],
        [point.y],
        marker=point.marker,
        markersize=size,
        color=point.colour,
        zorder=6 if point.kind == "miss" else 5 if hollow else 4,
        markerfacecolor=draw.PAPER if hollow else point.colour,
        linestyle="none",
        markeredgecolor=draw.INK if hollow else draw.PAPER,
        markeredgewidth=1.6 if hollow else 0.8,
    )


def _arms(middle: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
    return [[max(0.0, middle - ends[0])], [max(0.0, ends[1] - middle)]] if ends else None


def _labels(main: Axes, points: Sequence[Point], taken: list[Box], soft: list[Box], narrow: bool) -> None:
    """Names for those that matter, numbers (the table's) for the rest, none where no room is left.

    No label covers a box of `taken`; those of `soft` they rather avoid.
    """
    at = {id(point): tuple(main.transData.transform((point.x, point.y))) for point in points}
    taken = taken + [_around(at[id(point)], 6.0 if point.named else 4.0) for point in points]
    soft = soft + [box for point in points for box in _arm_boxes(main, point)]
    frame = main.get_window_extent()
    for point in sorted(points, key=lambda point: (point.kind != "choice", not point.serves_today, not point.named)):
        for text, style in _texts(point, narrow):
            label = draw.write(main, 0, 0, text, **style)
            width, height = draw.text_size(label)
            spot = place(
                at[id(point)], (width + 4, height + 2), taken, soft, frame.extents, gap=6.0, reach=_reach(main, point)
            )
            if spot is None:
                label.remove()
                continue
            to_data = main.transData.inverted().transform
            label.set(position=to_data((spot.x, spot.y)), ha="center", va="center", zorder=7)
            taken.append(spot.box)
            if spot.far:
                x, y = to_data(spot.nearest(at[id(point)]))
                main.plot([point.x, x], [point.y, y], color=draw.MUTED, linewidth=0.6, zorder=2.5)
            break


def _texts(point: Point, narrow: bool) -> list[tuple[str, dict[str, object]]]:
    numbered: tuple[str, dict[str, object]] = (str(point.number), {"fontsize": draw.SMALL - 0.5, "color": draw.MUTED})
    if not point.named or (narrow and point.kind != "choice" and not point.serves_today):
        return [numbered]
    today = " · today" if point.serves_today else ""
    weight = "bold" if point.kind == "choice" else "normal"
    colour = draw.CHOICE if point.kind in {"choice", "set"} else draw.INK
    name: tuple[str, dict[str, object]] = (shorten(point.name, 34) + today, {"fontweight": weight, "color": colour})
    return [name] if point.number is None else [name, numbered]


def _around(middle: tuple[float, ...], reach: float) -> Box:
    return middle[0] - reach, middle[1] - reach, middle[0] + reach, middle[1] + reach


def _reach(main: Axes, point: Point) -> tuple[float, float]:
    """How far a point's error bars stretch across and up, in pixels."""
    across, up = _arm_boxes(main, point)
    x, y = main.transData.transform((point.x, point.y))
    return max(x - across[0], across[2] - x), max(y - up[1], up[3] - y)


def _arm_boxes(main: Axes, point: Point) -> list[Box]:
    """The pixels of a point's error bars."""
    x_ends, y_ends = point.x_ends or (point.x, point.x), point.y_ends or (point.y, point.y)
    left, bottom = main.transData.transform((x_ends[0], y_ends[0]))
    right, top = main.transData.transform((x_ends[1], y_ends[1]))
    x, y = main.transData.transform((point.x, point.y))
    return [(left, y - 1, right, y + 1), (x - 1, bottom, x + 1, top)]
