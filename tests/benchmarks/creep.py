"""What the change points of `bakeoff history` are worth, on simulated nights whose truth is known: a Markdown table.

    python tests/benchmarks/creep.py [--series 300] [--into docs/nightly.md]

Sessions have Student noise of 4 degrees of freedom, three a night; "new pin every" so many nights the baseline moves to
what was there the night before. Otava runs as the history runs it. Takes about a minute of CPU time.
`--into` puts the table between the marks of a Markdown file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from marked import rewrite_file
from proofs.nights import simulated

from bakeoff.decide.drift import creep, past
from bakeoff.decide.drift.answers import SERVICE_TIME
from bakeoff.nightly import otava

MARK = "creep"
TITLES = ("truth", "nights", "new pin every", "session sd", "series with a change point", "within a night of it",
          "the chain's end is off by, mean (sd)")  # fmt: skip
SPREADS = (0.014, 0.036)


@dataclass(frozen=True, slots=True)
class Case:
    """A true log level for each night; a step has its night."""

    name: str
    truth: tuple[float, ...]
    every: int
    at: int | None = None


def cases() -> list[Case]:
    """Identical code, a creep of 10 % a year, and steps, each under pins that stay and that move."""
    half_year = np.arange(180)
    drift = tuple(np.log(1.10) / 365 * half_year)
    found = [Case("identical code", (0.0,) * 180, every) for every in (0, 30, 5)]
    found += [Case("10 % a year", drift, every) for every in (0, 30)]
    for percent in (3, 5, 10):
        step = tuple(np.where(np.arange(60) < 30, 0.0, np.log1p(percent / 100)))
        found += [Case(f"{percent} % from night 30 on", step, every, 30) for every in (0, 20)]
    return found


def line(case: Case, session_sd: float, series: int) -> str:
    """A case's row, from so many series."""
    nights = simulated(case.truth, series, every=case.every, session_sd=session_sd, seed=len(case.name))
    found = creep.sought(past.history(nights, SERVICE_TIME).series, SERVICE_TIME, otava.change_points)
    changed = [each for each in found if each.changes]
    near = [each for each in changed if any(abs(change.place - (case.at or 0)) <= 1 for change in each.changes)]
    off = [past.standing(each.points) - case.truth[-1] for each in found]
    cells = (case.name, str(len(case.truth)), str(case.every or "never"), f"{session_sd:.1%}")
    shares = (f"{len(changed) / series:.1%}", f"{len(near) / series:.1%}" if case.at else "-")
    return _line((*cells, *shares, f"{np.mean(off):+.1%} ({np.std(off):.1%})"))


def main(words: Sequence[str] | None = None) -> int:
    """Print each row when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=300, help="of each case")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into this Markdown file")
    asked = parser.parse_args(words)
    told = [_line(TITLES), _line(["---"] * len(TITLES))]
    sys.stdout.write("\n".join(told) + "\n")
    for session_sd in SPREADS:
        for case in cases():
            told.append(line(case, session_sd, asked.series))
            sys.stdout.write(told[-1] + "\n")
            sys.stdout.flush()
    if asked.into:
        rewrite_file(asked.into, MARK, lambda _: "\n".join(told))
    return 0


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
