"""Whether the plugins get out of their engines what is in them: the tables of docs/engines.md.

    python tests/benchmarks/engines.py [--table errors|bare|precisions|knobs|neighbours|callers]... [--only ENGINE]...
                                       [--workload NAME]... [--repeats 15] [--into docs/engines.md]

It takes the engines (`make engines`) and, for the callers, two CPUs. Workloads and artifacts are made where bakeoff's
cache lacks them, which takes minutes each. `--into` puts the rows between the marks of a Markdown file. The status is 1
where a bar was missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bare import ground, loop
from bare.measuring import Row
from bare.player import Failed
from marked import rewrite_file

from bakeoff.measure.engine_room import StageFailed

HERE = Path(__file__).resolve().parent
BATCHES = tuple(f"batch {items}" for items in ground.ITEMS)
TWO_THREADS = tuple(f"two threads, {name}" for name in BATCHES)


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table's rows come from ("module:function"), and the titles of its own columns."""

    target: str
    titles: tuple[str, ...]

    @property
    def row(self) -> Callable[[str, str, int], Row]:
        """The function that measures a row."""
        module, _, name = self.target.partition(":")
        found: Callable[[str, str, int], Row] = getattr(importlib.import_module(module), name)
        return found

    @property
    def header(self) -> str:
        """The first two lines."""
        titles = ("workload", "engine", *self.titles, "held", "command")
        return f"{_line(titles)}\n{_line(['---'] * len(titles))}"


TABLES = {
    "errors": Table("bare.measuring:error", ("version", "largest relative error", "requests")),
    "bare": Table("bare.measuring:bare", BATCHES),
    "precisions": Table("bare.measuring:precisions", ("median relative errors", *BATCHES)),
    "knobs": Table("bare.sweep:knobs", ("settings", *BATCHES)),
    "neighbours": Table("bare.measuring:neighbours", ("others", *BATCHES)),
    "callers": Table("bare.measuring:callers", ("instances", *BATCHES, *TWO_THREADS, "two threads use")),
}


def line(table: str, engine: str, workload: str, found: Row) -> str:
    """A row of a table, with the command that made it."""
    command = f"`python tests/benchmarks/engines.py --table {table} --only {engine} --workload {workload}`"
    return _line([workload, engine, *found.cells, "yes" if found.held else "**no**", command])


def measured(table: str, engine: str, workload: str, repeats: int) -> Row:
    """The row, or what the engine stumbled over: to say so is enough where it does not support the model."""
    empty = ("",) * (len(TABLES[table].titles) - 1)
    try:
        return TABLES[table].row(engine, workload, repeats)
    except StageFailed as refusal:
        return Row((f"{refusal.outcome}: {refusal.reason}", *empty), refusal.outcome == "unsupported")
    except Failed as failure:
        return Row((f"failed: {failure}", *empty), False)


def with_lines(inside: str, table: str, lines: Mapping[tuple[str, ...], str]) -> str:
    """The table between the marks with these lines, by workload and engine, made anew."""
    kept = [each for each in inside.splitlines() if "`python " in each]
    known: dict[tuple[str, ...], str] = {tuple(each.strip("| ").split(" | ")[:2]): each for each in kept}
    known.update(lines)
    order = [(workload, engine) for workload in ground.WORKLOADS for engine in loop.MODULES]
    return "\n".join([TABLES[table].header, *(known[key] for key in order if key in known)])


def main(words: Sequence[str] | None = None) -> int:
    """Make the rows that were asked for; each is printed, and written, when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=tuple(TABLES))
    parser.add_argument("--only", action="append", choices=tuple(loop.MODULES), metavar="ENGINE")
    parser.add_argument("--workload", action="append", choices=ground.WORKLOADS, metavar="NAME")
    parser.add_argument("--repeats", type=int, default=15, help="of each pair of blocks")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the rows into this Markdown file")
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    held = True
    for table in asked.table or TABLES:
        sys.stdout.write(TABLES[table].header + "\n")
        for workload in asked.workload or ground.WORKLOADS:
            for engine in asked.only or loop.MODULES:
                found = measured(table, engine, workload, asked.repeats)
                held = held and found.held
                made = line(table, engine, workload, found)
                sys.stdout.write(made + "\n")
                sys.stdout.flush()
                if asked.into:
                    lines: dict[tuple[str, ...], str] = {(workload, engine): made}
                    rewrite_file(asked.into, table, partial(with_lines, table=table, lines=lines))
    return 0 if held else 1


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
