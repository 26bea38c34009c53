"""The look that everything in the terminal shares: its width, its tables, and text that is never read as markup."""

from __future__ import annotations

from rich import box
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
