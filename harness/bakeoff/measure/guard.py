"""The parent's side of the warden: one per parent process, started with the first child."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

from bakeoff.measure import procs

_MEMORY_FOLDER = Path("/dev/shm")


class Guard:
    """Names the run's children, has the warden watch them, and holds the run's temporary folder (in memory)."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)
        base = _MEMORY_FOLDER if os.access(_MEMORY_FOLDER, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="bakeoff-", dir=base))
        self._numbers = itertools.count(1)
        self._watched: dict[str, dict[str, Any]] = {}
        self._warden = self._start_warden()

    def key(self) -> str:
        """A new child's key; its mark is "<run>.<key>"."""
        return str(next(self._numbers))

    def mark(self, key: str) -> str:
        """What a child's environment carries under procs.MARK."""
        return f"{self.run}.{key}"

    def watch(self, key: str, pids: list[int], limit_bytes: int | None, mapped: Path) -> None:
        """Kill these process groups when the parent dies, or when all together they outgrow `limit_bytes`."""
        self._watched[key] = {"watch": key, "pids": pids, "limit_bytes": limit_bytes, "mapped": str(mapped)}
        self._tell(self._watched[key])

    def forget(self, key: str) -> None:
        """They have ended; kill what they left behind."""
        procs.kill(procs.marked(self.mark(key)))
        self._watched.pop(key, None)
        self._tell({"forget": key})

    def killed_at_bytes(self, key: str) -> int | None:
        """The size at which the warden killed these processes, None where it did not."""
        note = self.folder / f"{key}.oom"
        return int(note.read_text()) if note.exists() else None

    def close(self) -> None:
        """End the warden, and with it whatever is left."""
        with contextlib.suppress(OSError):
            assert self._warden.stdin is not None
            self._warden.stdin.close()
        self._warden.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_warden(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bakeoff.measure.warden", self.run, str(self.folder)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)

    def _tell(self, message: dict[str, Any]) -> None:
        """Tell the warden; where somebody killed it, a new one takes over all that is watched."""
        try:
            self._write(message)
        except BrokenPipeError:
            self._warden.communicate()
            self._warden = self._start_warden()
            for watched in self._watched.values():
                self._write(watched)

    def _write(self, message: dict[str, Any]) -> None:
        assert self._warden.stdin is not None
        self._warden.stdin.write(json.dumps(message).encode() + b"\n")


_ONE_MAKES_IT = threading.Lock()


@cache
def _guard_of(_pid: int) -> Guard:
    guard = Guard()
    atexit.register(guard.close)
    return guard


def guard() -> Guard:
    """This process's guard, whatever thread asks. (A forked copy of the parent gets one of its own.)"""
    with _ONE_MAKES_IT:
        return _guard_of(os.getpid())
