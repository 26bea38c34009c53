"""The charts of a verdict, pure functions Verdict -> Figure, and `save`, which writes them as PNG and SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from bakeoff.decide.judgement import Verdict
from bakeoff.show import drawing
from bakeoff.show.dots import costs, latencies
from bakeoff.show.scale import readable
from bakeoff.show.scatter import scatter
from bakeoff.show.views import shows_latency
from bakeoff.show.writable import writing_into

__all__ = ["chart", "costs", "latencies", "save", "scatter"]

_FITTING = 14
"""How many rows leave the chart on a page's first screen."""


def chart(verdict: Verdict, *, narrow: bool = False) -> Figure:
    """The one chart of the first screen: cost against latency; cost alone where latency plays no part."""
    return scatter(verdict, narrow=narrow) if shows_latency(verdict) else costs(verdict, narrow=narrow, most=_FITTING)


def save(verdicts: Iterable[Verdict], folder: Path) -> tuple[Path, ...]:
    """Write every chart of every verdict into `folder` (made if need be) as PNG and SVG; gives the paths."""
    written: list[Path] = []
    with writing_into(folder):
        for place, verdict in enumerate(map(readable, verdicts), 1):
            stem = f"{place:02d}-{slug(verdict.scenario)}"
            drawn = {"cost": costs(verdict)}
            if shows_latency(verdict):
                drawn |= {"cost-latency": scatter(verdict), "latency": latencies(verdict)}
            for name, figure in drawn.items():
                written += drawing.write_both(figure, folder / f"{stem}-{name}")
    return tuple(written)


def slug(name: str) -> str:
    """A scenario's name as a part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "scenario"
