"""What `bakeoff map` tells a terminal: who wins as the fleet grows, and what would turn the answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bakeoff.decide.maps.decision_map import Point
from bakeoff.decide.maps.outlook import Outlook
from bakeoff.decide.what_if.sensitivity import told
from bakeoff.show import drawing
from bakeoff.show.charts import slug
from bakeoff.show.map_figure import map_figure, map_words
from bakeoff.show.numbers import clean, exact, number, shorten
from bakeoff.show.sensitivity_figure import sensitivity_figure
from bakeoff.show.terminal import empty_table, standard_output, texts
from bakeoff.show.writable import writing_into
from bakeoff.store.plain import plain

MOST_TURNS = 8


def render(found: Outlook, console: Console | None = None) -> None:
    """A row for each SLA and batch size, then what would turn the answer, and who is not on the map."""
    to = console or standard_output()
    to.print(Text(map_words(found.map), style="bold"))
    table = empty_table()
    for title in ("SLA, ms", "items", "who wins as the fleet's requests/s grow"):
        table.add_column(title, overflow="fold")
    for (limit, size), points in itertools.groupby(found.map.points, key=lambda one: (one.sla_ms, one.batch_size)):
        table.add_row(*texts(exact(limit), exact(size), _row(points)))
    to.print(table)
    to.print(Text("~: beyond what was measured", style="dim"))
    for line in turns(found):
        to.print(Text(f"- {line}"))
    for name, why in found.map.left_out.items():
        to.print(Text(f"Not on the map: {shorten(name, 80)} ({clean(why)})", style="dim"))


def to_json(found: Outlook) -> dict[str, Any]:
    """Both frames as strict JSON, and who is not on the map."""
    told: dict[str, Any] = plain(
        {
            "scenario": found.map.name,
            "cost_unit": found.map.unit,
            "map": [asdict(point) for point in found.map.points],
            "sensitivity": [asdict(one) for one in found.stretches],
            "left_out": found.map.left_out,
        }
    )
    return told


def save(found: Outlook, folder: Path, before: str = "") -> tuple[Path, ...]:
    """Draw the map and, where anything varies, what would turn the verdict, as PNG and SVG; gives the paths.

    `before` stands before the files' names, which are the scenario's.
    """
    stem = f"{before}{slug(found.map.name)}"
    drawn = {f"{stem}-map": map_figure(found.map)} if found.map.points else {}
    if found.stretches:
        drawn[f"{stem}-sensitivity"] = sensitivity_figure(found.stretches, found.map.winners)
    with writing_into(folder):
        return tuple(path for name, figure in drawn.items() for path in drawing.write_both(figure, folder / name))


def turns(found: Outlook) -> list[str]:
    """What would turn the answer, in sentences; of many the first, and how many more."""
    lines = [clean(line) for line in told(found.stretches)]
    more = len(lines) - MOST_TURNS
    return [*lines[:MOST_TURNS], f"{more} more turns are in the frame."] if more > 0 else lines


def _row(points: Iterable[Point]) -> str:
    """Such as "tie, onnxruntime/int8-dynamic/1x1 from 938, ~tie from 60,000"."""
    parts = list[str]()
    ascending = sorted(points, key=lambda point: point.qps)
    for (winner, beyond), group in itertools.groupby(ascending, key=lambda one: (one.winner, one.extrapolated)):
        first = next(group)
        name = f"{'~' if beyond else ''}{shorten(winner, 60)}"
        parts.append(f"{name} from {number(first.qps)}" if parts else name)
    return ", ".join(parts)
