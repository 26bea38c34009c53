"""What lies in the cache, since when nobody used it, and how it goes again."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bakeoff.errors import UserError
from bakeoff.workloads.cache import SIGNATURE, TAG, cache_dir, marked, writable

KINDS = ("downloads", "models", "prepared", "artifacts", "objects", "environments", "pythons", "logs")
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
    """All folders of the cache that nobody used for so many days; the bytes of all together are right for all alone.
    What vanishes meanwhile is none."""
    counted: set[tuple[int, int]] = set()
    found = []
    for place in _places():
        with suppress(FileNotFoundError):
            found.append(Kept(place, _bytes(place, counted), _days(place)))
    return tuple(each for each in found if each.unused_days >= unused_days)


def remove(unused_days: float) -> tuple[Kept, ...]:
    """Remove the folders that nobody used for so many days; gives them. Who looks for one finds it whole or not at all.

    Raises UserError where the cache cannot be written, or is not marked as one.
    """
    found = kept(unused_days)
    with writable():
        if found and not marked():
            raise UserError(
                f"{cache_dir()}: nothing is removed, for nothing in it says that its {', '.join(KINDS)} are bakeoff's; "
                f'where they are, write "{SIGNATURE} bakeoff" into a file {TAG} there'
            )
        return tuple(each for each in found if _removed(each.place, unused_days))


def _removed(place: Path, unused_days: float) -> bool:
    """Remove it, unless somebody has used it meanwhile, or removed it."""
    try:
        if _days(place) < unused_days:
            return False
        hidden = place.rename(place.with_name(f".{secrets.token_hex(8)}.unused"))
    except FileNotFoundError:
        return False
    shutil.rmtree(hidden)
    return True


def _places() -> Iterator[Path]:
    for kind in KINDS:
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from sorted(
                path for path in (cache_dir() / kind).iterdir() if path.is_dir() and not path.is_symlink()
            )


def _days(place: Path) -> float:
    return max(0.0, time.time() - place.stat().st_mtime) / DAY_S


def _bytes(place: Path, counted: set[tuple[int, int]]) -> int:
    """What the folder's files take on disk, but those counted already; links point elsewhere."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with suppress(FileNotFoundError):
                found = os.lstat(Path(folder, name))
                if (found.st_dev, found.st_ino) not in counted:
                    counted.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * BLOCK_BYTES
    return total
