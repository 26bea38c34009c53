"""One at a time: a check, or a pin that measures what it pins, would disturb another beside it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from bakeoff.errors import UserError
from bakeoff.workloads import cache_dir
from bakeoff.workloads.cache import writable


@contextmanager
def alone() -> Iterator[None]:
    """Raises UserError where another has the lock, which is the cache's, and ends with its holder."""
    with writable():
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock = (cache_dir() / "check.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                "another check or pin is under way on this machine; run this one when it has ended"
            ) from None
        yield
