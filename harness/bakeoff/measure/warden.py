"""The warden: a small process beside the parent that ends what must not outlive it or outgrow its memory.

`python -m bakeoff.measure.warden RUN FOLDER` reads JSON lines on its standard input: {"watch": key, "pids": [...],
"limit_bytes": n or null, "mapped": folder} and {"forget": key}. When the input ends (the parent died, however it did),
it kills every watched process group and everything that carries the run's mark, removes FOLDER, and ends. Meanwhile it
polls resident sizes; before it kills a candidate for its size it leaves a note, FOLDER/<key>.oom, with the bytes.
Needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.measure import procs

POLL_S = 0.05
CHILDREN_EVERY = 10
SWEEP_S = 5.0


@dataclass(slots=True)
class Watched:
    """One candidate's processes, its limit, and the folder of mapped requests that is not counted against it."""

    pids: list[int]
    limit_bytes: int | None
    mapped: Path
    children: set[int] = field(default_factory=set)
    mapped_bytes: int = 0

    def everyone(self) -> set[int]:
        """The worker processes and what they started."""
        return {*self.pids, *self.children}

    def excess_bytes(self) -> int:
        """The measured size where above the limit, else 0; what is mapped is looked up anew only when in doubt."""
        if self.limit_bytes is None:
            return 0
        size = sum(procs.resident_bytes(pid) for pid in self.everyone())
        if size - self.mapped_bytes > self.limit_bytes:
            self.mapped_bytes = sum(procs.resident_bytes_under(pid, self.mapped) for pid in self.everyone())
        size -= self.mapped_bytes
        return size if size > self.limit_bytes else 0

    def kill(self) -> None:
        """End all of them."""
        for pid in self.pids:
            procs.kill_group(pid)
        procs.kill(self.children)


class Warden:
    """What is watched, and what to do about it."""

    def __init__(self, run: str, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._watched: dict[str, Watched] = {}
        self._polls = 0

    def hear(self, line: bytes) -> None:
        """Take one message of the parent."""
        message = json.loads(line)
        if "forget" in message:
            self._watched.pop(message["forget"], None)
        else:
            watched = Watched(message["pids"], message["limit_bytes"], Path(message["mapped"]))
            self._watched[message["watch"]] = watched

    def poll(self) -> None:
        """Look at every candidate once, and kill those that are too large."""
        look_for_children = self._polls % CHILDREN_EVERY == 0
        self._polls += 1
        for key, watched in list(self._watched.items()):
            if look_for_children:
                watched.children = set().union(*(procs.descendants(pid) for pid in watched.pids))
            excess = watched.excess_bytes()
            if excess:
                (self._folder / f"{key}.oom").write_text(str(excess))
                watched.kill()
                del self._watched[key]

    def sweep(self) -> None:
        """End everything of this run; look again until nothing is left, for a fork may slip through once."""
        deadline = time.monotonic() + SWEEP_S
        for watched in self._watched.values():
            watched.kill()
        while (left := procs.marked(self._run)) and time.monotonic() < deadline:
            procs.kill(left)
            time.sleep(0.01)
        shutil.rmtree(self._folder, ignore_errors=True)

    def idle(self) -> bool:
        """Whether no memory limit needs polling."""
        return all(watched.limit_bytes is None for watched in self._watched.values())


def main(run: str, folder: str) -> None:
    """Watch until the parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    warden = Warden(run, Path(folder))
    heard = b""
    while True:
        if not select.select([0], [], [], None if warden.idle() else POLL_S)[0]:
            warden.poll()
            continue
        part = os.read(0, 1 << 16)
        if not part:
            break
        *lines, heard = (heard + part).split(b"\n")
        for line in lines:
            warden.hear(line)
    warden.sweep()


if __name__ == "__main__":
    main(*sys.argv[1:])
