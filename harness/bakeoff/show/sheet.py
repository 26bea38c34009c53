"""A page of text and tables that the terminal and Markdown show alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from bakeoff.show.markdown import escape
from bakeoff.show.numbers import clean
from bakeoff.show.terminal import empty_table, standard_output, texts

_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: `right` are the numbers of its columns of figures, `bold` those of its rows that matter most."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    bold: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Sheet:
    """A section: what it is about, the answer in a sentence, tables, and what else to know."""

    title: str
    answer: str = ""
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()


def render(sheets: Iterable[Sheet], console: Console | None = None) -> None:
    """Print sheets on a terminal."""
    to = console or standard_output(_WIDTH)
    for sheet in sheets:
        to.print()
        to.print(Text(clean(sheet.title), style="bold reverse"))
        if sheet.answer:
            to.print(Text(clean(sheet.answer), style="bold"))
        for grid in sheet.grids:
            to.print()
            _print(grid, to)
        if sheet.notes:
            to.print()
        for note in sheet.notes:
            to.print(Text(f"- {clean(note)}"))


def markdown(sheets: Iterable[Sheet]) -> str:
    """The same in Markdown, safe in GitHub's tables whatever a name holds."""
    lines: list[str] = []
    for sheet in sheets:
        lines += [f"### {escape(sheet.title)}", ""]
        lines += [f"**{escape(sheet.answer)}**", ""] if sheet.answer else []
        for grid in sheet.grids:
            rules = ["---:" if place in grid.right else "---" for place in range(len(grid.titles))]
            cells = [[escape(cell) for cell in row] for row in (grid.titles, *grid.rows)]
            lines += [f"| {' | '.join(row)} |" for row in (cells[0], rules, *cells[1:])]
            lines.append("")
        lines += [f"- {escape(note)}" for note in sheet.notes]
        lines += [""] if sheet.notes else []
    return "\n".join(lines)


def _print(grid: Grid, to: Console) -> None:
    table = empty_table()
    for place, title in enumerate(grid.titles):
        figures = place in grid.right
        table.add_column(title, justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    for place, row in enumerate(grid.rows):
        table.add_row(*texts(*map(clean, row)), style="bold" if place in grid.bold else "")
    to.print(table)
