"""What `bakeoff pin` pinned, for nights of what is here now beside it."""

from __future__ import annotations

from pathlib import Path

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.nightly import cases, pin_files
from bakeoff.nightly.night import Case


def pinned(baseline: Path, logs: Path) -> list[Case]:
    """The pins' cases, in order; ends the process where one of them cannot run here, on both sides."""
    check = cases.Check(lambda *_: [], logs, Budget(None), Silent())
    found = [each.case for each in cases.find(pin_files.find(baseline), check)]
    gone = [f"{case.name}: {case.known.reason}" for case in found if case.sides is None or case.sides.baseline is None]
    if gone:
        raise SystemExit("\n".join(gone))
    return found
