"""Whether the measuring can be trusted, proved on this machine: a table of claims, bars and what was measured.

    python tests/benchmarks/trust.py [--only NAME]... [--json] [--into docs/measurement.md]

`--into` puts the table between the marks in a Markdown file. Simulations take minutes; the proofs on real engines want
a machine that does nothing else. The status is 1 where a bar was missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from marked import rewrite_file
from proofs.proof import Proof

HERE = Path(__file__).resolve().parent
PROOFS = {
    "rate": "rate:rate",
    "against": "against:against",
    "saturated": "saturated:saturated",
    "capacity": "capacity:capacity",
    "borderline": "simulated:borderline",
    "coverage": "simulated:coverage",
    "twins-quiet": "twins:twins_quiet",
    "twins-loaded": "twins:twins_loaded",
    "worker": "worker:worker",
    "million": "million:million",
    "speedups": "speedups:speedups",
    "tables": "tables:tables",
    "losses": "losses:losses",
}
MARK = "proofs"
HEADER = "| claim | bar | measured | held | command |\n|---|---|---|---|---|"


def proof(name: str) -> Callable[[], Proof]:
    """The function that proves it; what it needs is imported only now."""
    module, _, function = PROOFS[name].partition(":")
    found: Callable[[], Proof] = getattr(importlib.import_module(f"proofs.{module}"), function)
    return found


def row(name: str, found: Proof) -> str:
    """A line of the table."""
    held = "yes" if found.held else "**no**"
    command = f"`python tests/benchmarks/trust.py --only {name}`"
    return f"| {found.claim} | {found.bar} | {found.measured} | {held} | {command} |"


def with_rows(inside: str, rows: Mapping[str, str]) -> str:
    """The table between the marks with these rows made anew."""
    known = {line.rpartition("--only ")[2].partition("`")[0]: line for line in inside.splitlines() if "--only " in line}
    known |= rows
    return "\n".join([HEADER, *(known[name] for name in PROOFS if name in known)])


def main(words: Sequence[str] | None = None) -> int:
    """Prove what was asked for; each row is printed when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(PROOFS), metavar="NAME", help=", ".join(PROOFS))
    parser.add_argument("--json", action="store_true", help="print the raw figures, too, as one JSON object")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    if not asked.json:
        sys.stdout.write(HEADER + "\n")
    found: dict[str, Proof] = {}
    for name in asked.only or PROOFS:
        found[name] = proof(name)()
        if not asked.json:
            sys.stdout.write(row(name, found[name]) + "\n")
            sys.stdout.flush()
    if asked.json:
        sys.stdout.write(json.dumps({name: asdict(each) for name, each in found.items()}, indent=2) + "\n")
    if asked.into:
        rows = {name: row(name, each) for name, each in found.items()}
        rewrite_file(asked.into, MARK, partial(with_rows, rows=rows))
    return 0 if all(each.held for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
