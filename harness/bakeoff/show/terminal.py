"""The look that everything in the terminal shares: its width, its tables, and text that is never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text


def standard_output(plain_width: int = 140) -> Console:
    """Standard output; a file or a pipe gets lines wide enough to hold a table."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=plain_width)


def empty_table() -> Table:
    """A table without columns yet."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="dim")


def texts(*cells: str | Text) -> list[Text]:
    """Cells as plain text: rich would read a bare string as markup."""
    return [cell if isinstance(cell, Text) else Text(cell) for cell in cells]


def broken_names(names: Sequence[str], width: int) -> list[str]:
    """Names on lines of at most `width`, or of the longest part; broken behind `/` and `+` alone."""
    parts = [re.findall(r"[^/+]*[/+]|[^/+]+", name) for name in names]
    longest = max((cell_len(part) for each in parts for part in each), default=0)
    return [_joined(each, max(width, longest)) for each in parts]


def _joined(parts: Iterable[str], width: int) -> str:
    lines = [""]
    for part in parts:
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
