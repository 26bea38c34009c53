"""Whether the measuring can be trusted, proved on this machine: a table of claims, bars and what was measured.

    python tests/benchmarks/trust.py [--only NAME]... [--json] [--into docs/measurement.md]

`--into` puts the table between the marks in a Markdown file. Simulations take minutes; the proofs on real engines want
a machine that does nothing else. The status is 1 where a bar was missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from proofs.proof import Proof
from proofs.telling import tell

HERE = Path(__file__).resolve().parent
PROOFS = {
    "rate": "rate:rate",
    "against": "against:against",
    "saturated": "saturated:saturated",
    "capacity": "capacity:capacity",
    "accepts": "accepts:accepts",
    "borderline": "simulated:borderline",
    "coverage": "simulated:coverage",
    "twins-quiet": "twins:twins_quiet",
    "twins-loaded": "twins:twins_loaded",
    "sprints": "sprints:sprints",
    "worker": "worker:worker",
    "million": "million:million",
    "speedups": "speedups:speedups",
    "tables": "tables:tables",
    "losses": "losses:losses",
}
COMMAND = "python tests/benchmarks/trust.py"
MARK = "proofs"


def proof(name: str) -> Callable[[], Proof]:
    """The function that proves it; what it needs is imported only now."""
    module, _, function = PROOFS[name].partition(":")
    found: Callable[[], Proof] = getattr(importlib.import_module(f"proofs.{module}"), function)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Prove what was asked for; each row is printed when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(PROOFS), metavar="NAME", help=", ".join(PROOFS))
    parser.add_argument("--json", action="store_true", help="print the raw figures, too, as one JSON object")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    names = asked.only or PROOFS
    return tell(COMMAND, names, lambda name: proof(name)(), PROOFS, MARK, into=asked.into, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
