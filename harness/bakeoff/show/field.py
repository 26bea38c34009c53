"""The table of engines: what the conformance suite saw of each, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bakeoff.conformance import Check
from bakeoff.show.markdown import code, escape

COLUMNS = {
    "installs here": "probe",
    "formats": "constructs",
    "devices": "devices",
    "threads used of 2": "how many threads it uses",
    "zero-copy inputs": "how it takes inputs",
    "releases the GIL": "the GIL is as its instances say",
}
RIGHT = "right at every batch size"
NOT_SEEN = "·"


def field(found: Mapping[str, Sequence[Check]]) -> str:
    """A row for each backend; `·` where nothing could be seen."""
    first, formats, *rest = COLUMNS
    titles = ["backend", first, formats, "precisions", *rest]
    lines = [titles, ["---"] * len(titles)]
    for backend, checks in found.items():
        here, builds_from, *habits = (escape(_cell(checks, name)) or NOT_SEEN for name in COLUMNS.values())
        lines.append([code(backend), here, builds_from, ", ".join(precisions(checks)) or NOT_SEEN, *habits])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def precisions(checks: Sequence[Check]) -> list[str]:
    """Those that were built and answered rightly."""
    named = (check.name.partition(": ") for check in checks if check.ok)
    return [precision for precision, _, name in named if name == RIGHT]


def _cell(checks: Sequence[Check], name: str) -> str:
    return next((check.cell for check in checks if check.ok and check.name.rpartition(": ")[2] == name), "")
