"""How much memory a process may still take here: the machine's, or the control group's where that is less."""

from __future__ import annotations

from pathlib import Path

import psutil

_GROUP = Path("/sys/fs/cgroup")


def spare_bytes() -> int:
    """Available bytes; a control group's limit counts where this process is in one that the kernel shows."""
    available = int(psutil.virtual_memory().available)
    limit, used = _number(_GROUP / "memory.max"), _number(_GROUP / "memory.current")
    return available if limit is None or used is None else min(available, max(limit - used, 0))


def _number(path: Path) -> int | None:
    """What a control group's file says; None for "max", and where there is no such file."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
