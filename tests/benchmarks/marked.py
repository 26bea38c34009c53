"""A part of a Markdown file that a command writes: what stands between two marks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def rewrite(text: str, name: str, body: Callable[[str], str]) -> str:
    """The text with what stands between <!-- name --> and <!-- /name --> replaced by `body` of it."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    inside, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"the file has no {begin} and {end}")
    return f"{before}{begin}\n{body(inside)}\n{end}{after}"


def rewrite_file(file: Path, name: str, body: Callable[[str], str]) -> None:
    """The same for a file, in place."""
    file.write_text(rewrite(file.read_text(encoding="utf-8"), name, body), encoding="utf-8")
