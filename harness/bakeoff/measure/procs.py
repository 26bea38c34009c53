"""What Linux tells about processes, and how to end them: read from /proc, with the standard library alone.

The warden polls with these while blocks are measured, so they stay cheap. A process that is gone counts as nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "BAKEOFF_MARK"
"""The environment variable that every child and its descendants carry: "<run>.<child>"."""

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; at once where that happened already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def set_timer_slack(slack_ns: int) -> None:
    """How much later than asked this thread's sleeps may end; 0 restores the default, commonly 50,000 ns."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, slack_ns)


def descendants(pid: int) -> set[int]:
    """All living children of a process's threads, and theirs. One that was orphaned is not found: see `marked`."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for entry in _entries(_PROC / str(waiting.pop()) / "task"):
            children = {int(child) for child in _text(entry / "children").split()} - found
            found |= children
            waiting += children
    return found


def resident_bytes(pid: int) -> int:
    """Resident size, as the kernel counts it: mapped files included."""
    fields = _text(_PROC / str(pid) / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def resident_bytes_under(pid: int, folder: Path) -> int:
    """How much of the resident size is mapped from files in `folder`; slower, it walks all mappings."""
    total_kb, inside = 0, False
    prefix = f"{folder}/"
    for line in _text(_PROC / str(pid) / "smaps").splitlines():
        words = line.split(maxsplit=5)
        if "-" in words[0] and not words[0].endswith(":"):
            inside = len(words) == 6 and words[5].startswith(prefix)
        elif inside and words[0] == "Rss:":
            total_kb += int(words[1])
    return total_kb * 1024


def mapped(pid: int, folder: Path) -> list[tuple[int, int]]:
    """The addresses (from, to) of all that a process has mapped from files in `folder`."""
    prefix = f"{folder.resolve()}/"
    lines = (line.split(maxsplit=5) for line in _text(_PROC / str(pid) / "maps").splitlines())
    spans = (words[0].split("-") for words in lines if len(words) == 6 and words[5].startswith(prefix))
    return [(int(begin, 16), int(end, 16)) for begin, end in spans]


def peak_resident_bytes(pid: int) -> int:
    """The largest resident size so far."""
    for line in _text(_PROC / str(pid) / "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak(pid: int) -> None:
    """Let `peak_resident_bytes` begin anew at the present size; where the kernel forbids it, the peak stays."""
    with contextlib.suppress(OSError):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def cpu_ns(pid: int) -> int:
    """CPU time of a process, to the kernel's tick (10 ms)."""
    return _stat_cpu_ns(_PROC / str(pid))


def _stat_cpu_ns(folder: Path) -> int:
    stat = _text(folder / "stat").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) * 1_000_000_000 // _TICKS_PER_S if stat else 0


@dataclass(frozen=True, slots=True)
class OnCpu:
    """How long a thread ran, and how long it was ready to run while others did."""

    cpu_ns: int
    waited_ns: int


def on_cpu(pid: int) -> dict[int, OnCpu]:
    """Each thread's time on a CPU, exact; where the kernel keeps no such account, to its tick and without the waits."""
    return {int(entry.name): _on_cpu(entry) for entry in _entries(_PROC / str(pid) / "task")}


def on_cpu_here() -> OnCpu:
    """The same of the calling thread."""
    return _on_cpu(_PROC / "thread-self")


def _on_cpu(task: Path) -> OnCpu:
    account = _text(task / "schedstat").split()
    if len(account) == 3:
        return OnCpu(int(account[0]), int(account[1]))
    return OnCpu(_stat_cpu_ns(task), 0)


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(_entries(_PROC / str(pid) / "task"))


def affinity(pid: int) -> set[int]:
    """The CPUs that any thread of a process may run on."""
    found: set[int] = set()
    for entry in _entries(_PROC / str(pid) / "task"):
        with contextlib.suppress(OSError):
            found |= os.sched_getaffinity(int(entry.name))
    return found


def marked(mark: str) -> set[int]:
    """Processes whose environment carries this mark, or one below it ("run" finds "run.3"); never this process."""
    exact = f"{MARK}={mark}".encode()
    found = set()
    for entry in _entries(_PROC):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                if any(part == exact or part.startswith(exact + b".") for part in variables):
                    found.add(int(entry.name))
    return found


def kill(pids: Iterable[int]) -> None:
    """SIGKILL processes; one that is gone is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def kill_group(group: int) -> None:
    """SIGKILL a process group; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
