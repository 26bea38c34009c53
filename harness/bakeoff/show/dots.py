"""Dot plots, one row per candidate: latency percentiles, and costs, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakeoff.decide.judgement import NO_FAILURE, Judgement, Verdict
from bakeoff.show import drawing as draw
from bakeoff.show.numbers import exact, known, percentile_name, shorten

_WIDTH_INCHES, _ROW_INCHES, _MOST_ROWS = 7.6, 0.23, 24
_FULL_NAME, _SHORT_NAME, _BOLDER = 34, 24, 4


def latencies(verdict: Verdict, *, narrow: bool = False) -> Figure:
    """Median and the SLA's percentile of each measured candidate in ms, the latter with its interval; slowest last."""
    measured = sorted((one for one in verdict.candidates if known(one.p99_ms)), key=lambda one: one.p99_ms or 0.0)
    rows = measured[:_MOST_ROWS]
    tail = percentile_name(rows[0].percentile if rows else 99.0)
    figure, main = _frame(verdict, rows, narrow, f"Latency, ms: ring median, dot {tail} with 95 % interval")
    limit = (verdict.sla or {}).get("limit_ms")
    tops = [one.p99_high_ms if known(one.p99_high_ms) else one.p99_ms for one in rows]
    longest = max((top for top in tops if top is not None), default=1.0)
    if limit and longest > 8 * limit:
        longest = max((one.p99_ms for one in rows if one.p99_ms and one.p99_ms <= 8 * limit), default=limit) * 1.05
    main.set_xlim(0, max(longest, limit or 0.0) * 1.12 or 1.0)
    for y, one in enumerate(rows):
        _latency_row(main, y, one, verdict)
    if limit:
        main.axvline(limit, color=draw.MISS, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)
        draw.write(
            main,
            limit,
            1.0,
            f"SLA {exact(limit)} ms",
            transform=main.get_xaxis_transform(),
            color=draw.MISS,
            fontsize=draw.SMALL,
            ha="center",
            va="bottom",
        )
    return figure


def costs(verdict: Verdict, *, narrow: bool = False, most: int = _MOST_ROWS) -> Figure:
    """What each candidate costs, with its interval, the cheapest first; throughput where no cost is known.

    What has no figure stands below, a cross at the edge for each; `most` rows are drawn.
    """
    by_cost = any(known(one.cost) for one in verdict.candidates)

    def figure_of(one: Judgement) -> float:
        value = one.cost if by_cost else one.items_per_s
        return value if value is not None and known(value) else math.nan

    measured = [one for one in verdict.candidates if known(figure_of(one))]
    rows = sorted(measured, key=lambda one: figure_of(one) * (1 if by_cost else -1))
    rows = [*rows, *(one for one in verdict.candidates if not known(figure_of(one)))][:most]
    title = f"Cost, {verdict.cost_unit} (lower is better)" if by_cost else "Throughput, items/s (higher is better)"
    figure, main = _frame(verdict, rows, narrow, title)
    longest = max((figure_of(one) for one in rows if known(figure_of(one))), default=1.0)
    ends = [one.cost_high for one in rows if by_cost and one.cost_high is not None and known(one.cost_high)]
    main.set_xlim(0, min(max([longest, *ends]), 2 * longest) * 1.08 or 1.0)
    for y, one in enumerate(rows):
        low, high = (one.cost_low, one.cost_high) if by_cost else (None, None)
        if known(figure_of(one)):
            _dot(main, y, one, verdict, figure_of(one), low, high)
        else:
            _unmeasured(main, y, one)
    return figure


def _unmeasured(main: Axes, y: float, one: Judgement) -> None:
    failed = one.outcome not in NO_FAILURE
    colour, edge = draw.MISS if failed else draw.MUTED, main.get_xlim()[1]
    if failed:
        main.plot([0.012 * edge], [y], marker="X", markersize=6, color=colour, linestyle="none", zorder=4)
    outcome = shorten(one.outcome.replace("-", " "), 30)
    draw.write(main, 0.03 * edge, y, outcome, color=colour, fontsize=draw.SMALL - 0.5, va="center")


def _frame(verdict: Verdict, rows: Sequence[Judgement], narrow: bool, title: str) -> tuple[Figure, Axes]:
    width = 4.1 if narrow else _WIDTH_INCHES
    height = 0.72 + _ROW_INCHES * max(len(rows), 1)
    figure = draw.blank((width, height))
    left = 0.4 if narrow else 0.31
    main = draw.axes(figure, (left, 0.46 / height, 0.97 - left, 1 - 0.72 / height))
    main.grid(False, axis="y")
    main.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    main.set_yticks([])
    label = {"transform": figure.transFigure, "color": draw.MUTED, "fontsize": draw.SMALL - narrow}
    draw.write(main, 0.98, 0.06 / height, shorten(title, 64), ha="right", va="bottom", **label)
    numbers = {one.candidate: place for place, one in enumerate(verdict.candidates, 1)}
    for y, one in enumerate(rows):
        chosen = _chosen(one, verdict)
        room = (_SHORT_NAME if narrow else _FULL_NAME) - _BOLDER * chosen
        name = f"{shorten(one.candidate, room)}  {numbers[one.candidate]}"
        draw.write(
            main,
            -0.015,
            y,
            name,
            transform=main.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=draw.SMALL - 1 if narrow else draw.SMALL,
            fontweight="bold" if chosen else "normal",
            color=draw.CHOICE if chosen else draw.INK,
        )
        main.axhline(y, color=draw.LINE, linewidth=0.6, zorder=0)
    return figure, main


def _latency_row(main: Axes, y: float, one: Judgement, verdict: Verdict) -> None:
    colour = _colour(one, verdict)
    if one.p50_ms is not None and known(one.p50_ms):
        main.plot(
            [one.p50_ms],
            [y],
            marker="o",
            markersize=4.5,
            markerfacecolor=draw.PAPER,
            markeredgecolor=colour,
            linestyle="none",
            zorder=3,
        )
    _dot(main, y, one, verdict, one.p99_ms, one.p99_low_ms, one.p99_high_ms)


def _dot(
    main: Axes, y: float, one: Judgement, verdict: Verdict, value: float | None, low: float | None, high: float | None
) -> None:
    colour, end = _colour(one, verdict), main.get_xlim()[1]
    if value is None:
        return
    if value > end:
        draw.write(
            main,
            0.995,
            y,
            f"{exact(round(value))} →",
            transform=main.get_yaxis_transform(),
            color=colour,
            fontsize=draw.SMALL,
            ha="right",
            va="center",
        )
        return
    if low is not None and high is not None and known(low) and known(high):
        main.plot(
            [low, min(high, end)], [y, y], color=colour, linewidth=3.2, alpha=0.35, solid_capstyle="round", zorder=2
        )
    main.plot(
        [value],
        [y],
        marker="X" if colour == draw.MISS else "o",
        markersize=6,
        color=colour,
        linestyle="none",
        markeredgecolor=draw.PAPER,
        markeredgewidth=0.6,
        zorder=4,
    )


def _colour(one: Judgement, verdict: Verdict) -> str:
    if one.outcome not in NO_FAILURE:
        return draw.MISS
    return draw.CHOICE if _chosen(one, verdict) or one.candidate in verdict.set else draw.OTHER


def _chosen(one: Judgement, verdict: Verdict) -> bool:
    return verdict.choice is not None and one.candidate == verdict.choice.candidate
