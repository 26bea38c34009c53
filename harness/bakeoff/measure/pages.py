"""What an engine has mapped stays in memory while it serves, however idle it is between its turns.

Contenders take turns, and kernels that reclaim what was idle for a minute take the pages of weights and code that are
mapped from files; an answer then waits tens of milliseconds for the disk, in a stall that no busy server has.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from bakeoff.measure import procs

_MCL_CURRENT, _MCL_ONFAULT = 1, 4
_MADV_POPULATE_READ = 22


def hold(folder: Path) -> None:
    """Read what this process has mapped from files in `folder`, and keep what it has touched of all its mappings, now
    or later (mlockall(2), MCL_ONFAULT), so that none is larger than it was used. Where the user may lock no memory
    (`ulimit -l`), or the kernel is older than 5.14, as much of it as goes."""
    libc = ctypes.CDLL(None)
    libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT)
    for begin, end in procs.mapped(os.getpid(), folder):
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_POPULATE_READ)
