"""Runs a child process that dies with its parent: `python -m bakeoff.workloads.mortal PARENT MODULE …`.

With `--` before it the rest is another program's command line.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PROGRAM = "--"


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `python -m module arguments` as a child of this process."""
    return [sys.executable, "-m", "bakeoff.workloads.mortal", str(os.getpid()), module, *arguments]


def program(*words: str) -> list[str]:
    """The command line that runs another program's, `words`, as a child of this process."""
    return command(_PROGRAM, *words)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    del sys.argv[:2]
    if sys.argv[0] == _PROGRAM:
        os.execvp(sys.argv[1], sys.argv[1:])  # the kernel's order outlives it
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
