"""The README's table of engines: what the conformance suite sees of every backend that is installed.

python tests/benchmarks/conformance_table.py [--into README.md]      # after `make engines`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from marked import rewrite_file

from bakeoff import conformance
from bakeoff.measure.host import cpu_flags
from bakeoff.show.field import field

MARK = "engines"


def main() -> None:
    """Print the table, or put it between the marks of a Markdown file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, metavar="FILE")
    asked = parser.parse_args()
    table = field({backend: conformance.run(backend) for backend in conformance.named(())})
    table += f"\n\nSeen on a CPU with {', '.join(cpu_flags())}."
    if asked.into:
        rewrite_file(asked.into, MARK, lambda _: table)
    sys.stdout.write(table + "\n")


if __name__ == "__main__":
    main()
