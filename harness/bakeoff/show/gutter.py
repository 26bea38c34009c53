"""The strip at a chart's edge for what its axes cannot hold: failures as crosses, the unmeasured as dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakeoff.show import drawing as draw
from bakeoff.show.numbers import shorten

_ROWS = 11


@dataclass(frozen=True, slots=True)
class Outside:
    """A candidate that the axes cannot hold: it failed, was not measured, or is off the scale."""

    number: int
    name: str
    why: str
    failed: bool


def gutter(figure: Figure, outside: Sequence[Outside], narrow: bool) -> None:
    """The strip at the edge: a cross for each candidate that failed, a dot for one not measured or off the scale."""
    if not outside:
        return
    strip = figure.add_axes((0.04, 0.02, 0.92, 0.115) if narrow else (0.73, 0.125, 0.27, 0.805), facecolor=draw.GUTTER)
    strip.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    strip.spines[:].set_visible(False)
    if narrow:
        _crosses_in_a_row(strip, outside)
    else:
        _crosses_in_a_column(strip, outside)


def _crosses_in_a_column(strip: Axes, outside: Sequence[Outside]) -> None:
    draw.write(strip, 0.0, 1.025, "Not on the axes", color=draw.MUTED, fontsize=draw.SMALL + 0.5, va="bottom")
    shown = outside if len(outside) <= _ROWS else outside[: _ROWS - 1]
    step = min(0.125, 0.98 / max(len(shown) + (len(shown) < len(outside)), 1))
    for row, one in enumerate(shown):
        y = 1 - step * (row + 0.5) - 0.005
        _cross(strip, 0.055, y, one)
        draw.write(strip, 0.115, y + 0.001, shorten(one.name, 27), fontsize=draw.SMALL, va="bottom")
        draw.write(
            strip,
            0.115,
            y - 0.001,
            shorten(f"{one.number} · {one.why}", 30),
            fontsize=draw.SMALL - 0.3,
            color=draw.MUTED,
            va="top",
        )
    if len(shown) < len(outside):
        draw.write(
            strip,
            0.115,
            1 - step * (len(shown) + 0.5),
            f"and {len(outside) - len(shown)} more",
            va="center",
            fontsize=draw.SMALL,
            color=draw.MUTED,
        )


def _crosses_in_a_row(strip: Axes, outside: Sequence[Outside]) -> None:
    draw.write(
        strip,
        0.02,
        0.93,
        f"Not on the axes: {len(outside)} (numbers as in the table)",
        color=draw.MUTED,
        fontsize=draw.SMALL,
        va="top",
    )
    shown = outside[:14]
    for column, one in enumerate(shown):
        x = 0.03 + column * 0.067
        _cross(strip, x, 0.28, one)
        draw.write(strip, x + 0.013, 0.28, one.number, fontsize=draw.SMALL, color=draw.MUTED, va="center")


def _cross(strip: Axes, x: float, y: float, one: Outside) -> None:
    strip.plot(
        [x],
        [y],
        marker="X" if one.failed else "o",
        markersize=6 if one.failed else 4.5,
        linestyle="none",
        color=draw.MISS if one.failed else draw.OTHER,
        markeredgecolor=draw.GUTTER,
        markeredgewidth=0.6,
    )
