"""What Linux tells in the files of /proc and /sys, read below ROOT: a test puts a tree of its own in its place."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

ROOT = Path("/")


def text(path: str | PurePath) -> str:
    """A file's text; empty where there is none, or it may not be read."""
    try:
        return _below(path).read_text(errors="replace")
    except OSError:
        return ""


def exists(path: str | PurePath) -> bool:
    """Whether there is such a file or folder."""
    return _below(path).exists()


def folders(pattern: str) -> list[str]:
    """What fits a pattern such as "/sys/class/net/*", as absolute paths below ROOT, in order."""
    return sorted("/" + str(found.relative_to(ROOT)) for found in ROOT.glob(pattern.lstrip("/")))


def field(text: str, *names: str) -> str:
    """The value of the first line "name : value" that has one of the names; empty where none has."""
    for name in names:
        found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return ""


def whole(path: str | PurePath) -> int | None:
    """The whole number in a file, which may be negative; None where it holds none."""
    number = text(path).strip()
    return int(number) if re.fullmatch(r"-?\d+", number) else None


def _below(path: str | PurePath) -> Path:
    return ROOT / str(path).lstrip("/")
