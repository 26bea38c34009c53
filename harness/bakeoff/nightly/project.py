"""The project that a committed pin belongs to: its root, and paths as they read from there, on whatever machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

GIT_LIMIT_S = 30.0


def root() -> Path:
    """The top of the git work tree around the current folder; the current folder where there is none."""
    here = Path.cwd()
    return work_tree(here) or here


def work_tree(folder: Path) -> Path | None:
    """The top of the git work tree that a folder lies in."""
    top = git(folder, "rev-parse", "--show-toplevel")
    return Path(top) if top else None


def git(folder: Path, *words: str) -> str:
    """What git says there, stripped; empty where it fails or is missing."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=GIT_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def relative(path: Path, root: Path) -> str | None:
    """A path in the project, or in one beside it, as it reads from the root; None for all others, whose place is this
    machine's own affair, as are a home folder's neighbours. What a link in the project points to does not matter."""
    root = root.resolve()
    shared = root.parent not in {Path(root.anchor), Path.home().resolve().parent}
    for each in (path.parent.resolve() / path.name, path.resolve()):
        if each.is_relative_to(root) or (shared and each.is_relative_to(root.parent)):
            return os.path.relpath(each, root)
    return None
