"""What would turn the verdict, drawn: a bar for each parameter, coloured by who wins at its values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakeoff.decide.what_if.sensitivity import Stretch
from bakeoff.decide.what_if.settling import NONE, TIE
from bakeoff.show import drawing as draw
from bakeoff.show.map_figure import colours_of
from bakeoff.show.numbers import shorten

_WIDTH, _ROW, _NAME = 7.6, 0.78, 44
_FACTOR = 64.0
"""Values that span more than this are drawn on a log scale."""


def sensitivity_figure(stretches: Sequence[Stretch], winners: Sequence[str] = ()) -> Figure:
    """One bar for each parameter, its own values across, the scenario's marked. `winners` keep their map's colours."""
    names = dict.fromkeys([*winners, *(one.winner for one in stretches if one.winner not in (TIE, NONE))])
    drawn = {one.winner for one in stretches}
    colours = {name: colour for name, colour in colours_of(list(names)).items() if name in drawn}
    colours |= {name: colour for name, colour in ((TIE, draw.LINE), (NONE, draw.BEYOND)) if name in drawn}
    groups = [list(group) for _, group in itertools.groupby(stretches, key=lambda one: one.varied)]
    below = 0.22 + 0.19 * math.ceil((len(colours) + 1) / 2)
    height = _ROW * len(groups) + below
    figure = draw.blank((_WIDTH, height))
    for place, group in enumerate(groups):
        bottom = (height - _ROW * (place + 1) + 0.28) / height
        _bar(draw.axes(figure, (0.04, bottom, 0.92, 0.22 / height)), group, colours)
    handles = [draw.swatch(shorten(name, _NAME), colour) for name, colour in colours.items()]
    draw.legend(figure, [*handles, draw.mark("as the scenario asks", "D", 5)], 2)
    return figure


def _bar(axes: Axes, group: Sequence[Stretch], colours: Mapping[str, str]) -> None:
    asked = group[0].asked
    last = 1.3 * max(group[-1].low, asked or 0.0) or 1.0
    wide = group[0].low > 0.0 and last / group[0].low > _FACTOR
    axes.set(xlim=(group[0].low, last), ylim=(0, 1), xscale="log" if wide else "linear", yticks=[])
    axes.grid(False)
    for one in group:
        axes.axvspan(one.low, min(one.high, last), color=colours[one.winner], linewidth=0)
    if asked is not None:
        axes.plot([asked], [0.5], marker="D", markersize=5, clip_on=False, zorder=4, **draw.HOLLOW)
    title = f"{group[0].varied[:1].upper()}{group[0].varied[1:]}"
    draw.write(axes, 0.0, 1.15, title, transform=axes.transAxes, fontsize=draw.SMALL, color=draw.MUTED)
