"""Proofs as a table: each row printed when it is there, put into a Markdown file, and a status for what was missed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from marked import rewrite_file

from proofs.proof import Proof

HEADER = "| claim | bar | measured | held | command |\n|---|---|---|---|---|"


def row(command: str, name: str, found: Proof, options: str = "") -> str:
    """A line of the table: `command --only name options` makes it."""
    held = "yes" if found.held else "**no**"
    words = " ".join(filter(None, [command, "--only", name, options]))
    return f"| {found.claim} | {found.bar} | {found.measured} | {held} | `{words}` |"


def with_rows(inside: str, rows: Mapping[str, str], order: Collection[str]) -> str:
    """The table between the marks with these rows made anew."""
    made = (line for line in inside.splitlines() if "--only " in line)
    known = {line.rpartition("--only ")[2].partition("`")[0].split()[0]: line for line in made}
    known |= rows
    return "\n".join([HEADER, *(known[name] for name in order if name in known)])


def tell(
    command: str,
    names: Iterable[str],
    prove: Callable[[str], Proof],
    order: Collection[str],
    mark: str,
    *,
    options: str = "",
    into: Path | None = None,
    as_json: bool = False,
) -> int:
    """Prove each by its name and tell what came out, as one JSON object at the end or in rows; 1 where a bar was
    missed, else 0."""
    if not as_json:
        sys.stdout.write(HEADER + "\n")
    found: dict[str, Proof] = {}
    for name in names:
        found[name] = prove(name)
        if not as_json:
            sys.stdout.write(row(command, name, found[name], options) + "\n")
            sys.stdout.flush()
        if into:
            rows = {name: row(command, name, found[name], options)}
            rewrite_file(into, mark, partial(with_rows, rows=rows, order=order))
    if as_json:
        sys.stdout.write(json.dumps({name: asdict(each) for name, each in found.items()}, indent=2) + "\n")
    return 0 if all(each.held for each in found.values()) else 1
