"""Makes a folder of the cache once: whole or not at all, however many processes want it and whichever is killed."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from bakeoff.workloads.cache import used, writable


def made_once(place: Path, make: Callable[[Path], None], whole: Callable[[Path], bool] = Path.exists) -> Path:
    """`place`, which `make` fills as a scratch folder beside it unless it is there and `whole`; others wait meanwhile.

    The lock is the kernel's and ends with its holder; what a killed one left is thrown away by the next.
    """
    scratch = place.with_name(f".{place.name}.making")
    with writable():
        if whole(place):
            used(place)
            return place
        place.parent.mkdir(parents=True, exist_ok=True)
        opened = scratch.with_suffix(".lock").open("w")
    with opened as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if whole(place):
            return place
        for each in (place, scratch):
            shutil.rmtree(each, ignore_errors=True)
        scratch.mkdir()
        try:
            make(scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        scratch.rename(place)
    return place
