"""What each engine takes for embedding tables at fp32, int8 and int4, on disk and in memory: a Markdown table.

python tests/benchmarks/tables.py [--rows 2000000] [--engine NAME]...
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from proofs.tables import ENGINES, ROWS, taken

COLUMNS = (
    "engine",
    "variant",
    "tables, MB",
    "artifact, MB",
    "resident above empty, MB",
    "its empty level above fp32's, MB",
    "artifact / fp32 tables",
    "resident / fp32 tables",
    "resident / the engine's own at fp32",
)


def main() -> None:
    """Print each row when it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="of all tables together, 32 numbers each")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    asked = parser.parse_args()
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    _write(COLUMNS)
    _write(["---"] * len(COLUMNS))
    for each in taken(asked.engine or ENGINES, asked.rows):
        sizes = (each.table_bytes, each.file_bytes, each.resident_bytes, each.decoding_bytes)
        shares = (each.on_disk, each.resident, each.resident_of_own)
        cells = [each.engine, each.variant, *(f"{size / 1e6:.1f}" for size in sizes), *(f"{x:.1%}" for x in shares)]
        _write(cells)


def _write(cells: Iterable[str]) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
