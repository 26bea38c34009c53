"""What lies in the cache, since when nobody used it, and how it goes again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bakeoff.workloads.cache import cache_dir, writable

KINDS = ("downloads", "models", "prepared", "artifacts", "objects", "environments")
"""The cache's own folders: what else lies where BAKEOFF_CACHE points is not ours."""
BLOCK_BYTES, DAY_S = 512, 86400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of the cache: `bytes` are those on disk that no folder before it shares by hard links, `unused_days`
    those since a run, a build or a check last took it."""

    place: Path
    bytes: int
    unused_days: float

    @property
    def kind(self) -> str:
        """What it is one of: KINDS."""
        return self.place.parent.name


def kept(unused_days: float = 0.0) -> tuple[Kept, ...]:
    """All folders of the cache that nobody used for so many days; the bytes of all together are right for all alone."""
    counted: set[tuple[int, int]] = set()
    now_s = time.time()
    found = (Kept(place, _bytes(place, counted), _days(place, now_s)) for place in _places())
    return tuple(each for each in found if each.unused_days >= unused_days)


def remove(unused_days: float) -> tuple[Kept, ...]:
    """Remove the folders that nobody used for so many days; gives them. Who looks for one finds it whole or not at all.

    Raises UserError where the cache cannot be written.
    """
    found = kept(unused_days)
    with writable():
        for each in found:
            _remove(each.place)
    return found


def _remove(place: Path) -> None:
    """What a killed process left is hidden already."""
    hidden = place if place.name.startswith(".") else place.rename(place.with_name(f".{place.name}.unused"))
    shutil.rmtree(hidden)


def _places() -> Iterator[Path]:
    for kind in KINDS:
        folder = cache_dir() / kind
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path.is_dir())


def _days(place: Path, now_s: float) -> float:
    return max(0.0, now_s - place.stat().st_mtime) / DAY_S


def _bytes(place: Path, counted: set[tuple[int, int]]) -> int:
    """What the folder's files take on disk, but those counted already; links point elsewhere."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            found = os.lstat(Path(folder, name))
            if (found.st_dev, found.st_ino) not in counted:
                counted.add((found.st_dev, found.st_ino))
                total += found.st_blocks * BLOCK_BYTES
    return total
