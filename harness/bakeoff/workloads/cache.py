"""Where prepared workloads, downloads and built artifacts are kept between runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bakeoff.errors import UserError

TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
"""What marks a cache, for backups and for `bakeoff cache` (https://bford.info/cachedir)."""
_NAMED = "BAKEOFF_CACHE"


def cache_dir() -> Path:
    """The folder named by BAKEOFF_CACHE, else the platform's place for a user's caches, "bakeoff" inside it."""
    named = os.environ.get(_NAMED)
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bakeoff"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "bakeoff"


def used(place: Path) -> None:
    """Note that a folder of the cache was used now: its own time says since when it has not been."""
    with suppress(OSError):
        os.utime(place)


def marked() -> bool:
    """Whether the cache says that it is one, and bakeoff's."""
    try:
        told = (cache_dir() / TAG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return told.startswith(SIGNATURE) and "bakeoff" in told


def _mark() -> None:
    """Mark the cache where it is new, or in its usual place; what else a person names may hold other things, too."""
    place = cache_dir()
    with suppress(OSError):
        if marked() or (os.environ.get(_NAMED) and place.exists() and any(place.iterdir())):
            return
        place.mkdir(parents=True, exist_ok=True)
        (place / TAG).write_text(f"{SIGNATURE}\n# A cache of bakeoff's; `bakeoff cache` shows what it holds.\n")


@contextmanager
def writable() -> Iterator[None]:
    """Raises UserError for an OSError of the code within, which makes a place in the cache: the person's to mend."""
    _mark()
    try:
        yield
    except OSError as error:
        where = f"BAKEOFF_CACHE={cache_dir()}" if os.environ.get(_NAMED) else str(cache_dir())
        raise UserError(
            f"{where}: the cache cannot be written there ({error.strerror or error}); "
            "BAKEOFF_CACHE must name a folder that can be made and written, with room for models and data"
        ) from error
