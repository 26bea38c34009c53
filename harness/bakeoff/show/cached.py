"""What the cache holds, by kind, and folder by folder what nobody used for long."""

from __future__ import annotations

from collections.abc import Sequence

from bakeoff.show.numbers import size
from bakeoff.show.sheet import Grid, Sheet
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.housekeeping import KINDS, Kept

_SHARED = "files that several folders share by hard links count once, for the first of them"
_PINNED = "a pin whose bytes go is built again, or judged by its stored figures, with wide bounds"


def summary(found: Sequence[Kept]) -> Sheet:
    """A row for each kind."""
    by_kind = {kind: [each for each in found if each.kind == kind] for kind in KINDS}
    rows = tuple(
        (kind, f"{len(those)}", _total(those), _days(max(each.unused_days for each in those)))
        for kind, those in by_kind.items()
        if those
    )
    grid = Grid(("kind", "folders", "on disk", "longest unused"), rows, frozenset({1, 2, 3}))
    note = "`bakeoff cache --unused-days 30` lists what nobody used for so long, and with --remove removes it"
    return Sheet(str(cache_dir()), _total(found), (grid,) if rows else (), (_SHARED, note) if rows else ())


def listed(found: Sequence[Kept], unused_days: int, removed: bool) -> Sheet:
    """A row for each folder, the largest first."""
    days = f"{unused_days} day{'s' * (unused_days > 1)}"
    answer = f"{len(found)} folders that nobody used for {days}{', removed' if removed else ''}: {_total(found)}"
    rows = tuple(
        (f"{each.kind}/{each.place.name}", size(each.bytes), _days(each.unused_days))
        for each in sorted(found, key=lambda each: -each.bytes)
    )
    grid = Grid(("folder", "on disk", "unused"), rows, frozenset({1, 2}))
    notes = (_SHARED, *([_PINNED] if any(each.kind == "objects" for each in found) else []))
    return Sheet(str(cache_dir()), answer, (grid,) if rows else (), notes if rows else ())


def _total(found: Sequence[Kept]) -> str:
    return size(sum(each.bytes for each in found))


def _days(days: float) -> str:
    return f"{days:.0f} d"
