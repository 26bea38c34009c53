"""Runs a module as a child process that dies with its parent: `python -m bakeoff.workloads.mortal PARENT MODULE …`."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `python -m module arguments` as a child of this process."""
    return [sys.executable, "-m", "bakeoff.workloads.mortal", str(os.getpid()), module, *arguments]


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
