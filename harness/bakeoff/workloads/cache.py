"""Where prepared workloads, downloads and built artifacts are kept between runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bakeoff.errors import UserError


def cache_dir() -> Path:
    """The folder named by BAKEOFF_CACHE, else the platform's place for a user's caches, "bakeoff" inside it."""
    named = os.environ.get("BAKEOFF_CACHE")
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


@contextmanager
def writable() -> Iterator[None]:
    """Raises UserError for an OSError of the code within, which makes a place in the cache: the person's to mend."""
    try:
        yield
    except OSError as error:
        where = f"BAKEOFF_CACHE={cache_dir()}" if os.environ.get("BAKEOFF_CACHE") else str(cache_dir())
        raise UserError(
            f"{where}: the cache cannot be written there ({error.strerror or error}); "
            "BAKEOFF_CACHE must name a folder that can be made and written, with room for models and data"
        ) from error
