"""Environments of their own: what uv makes of a list of requirements, once, kept in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bakeoff.backends import Unavailable
from bakeoff.workloads import mortal
from bakeoff.workloads.cache import cache_dir, used
from bakeoff.workloads.locking import made_once

MAKING_LIMIT_S = 1800.0
PYTHON = Path("bin") / "python"
"""Where the interpreter lies in an environment's folder."""


def folder(name: str, requirements: Sequence[str], python: str = sys.executable) -> Path:
    """Where the environment is kept, or will be: it takes the name, the Python and the requirements to find it."""
    which = sys.version if python == sys.executable else python
    key = hashlib.sha256("\n".join([which, *sorted(requirements)]).encode()).hexdigest()[:16]
    return cache_dir() / "environments" / f"{name}-{key}"


def made(
    name: str,
    requirements: Sequence[str],
    remedy: str = "name requirements that go together",
    python: str = sys.executable,
    limit_s: float = MAKING_LIMIT_S,
) -> Path:
    """The environment's folder, made by uv where there is none, for `python` (a path, or a version that uv finds or
    downloads). One whose Python is gone is made again.

    Each of uv's two steps has `limit_s`. Raises Unavailable with the reason, and the `remedy` where uv cannot do it.
    """
    run = partial(_uv, remedy=remedy, limit_s=min(MAKING_LIMIT_S, limit_s))

    def make(scratch: Path) -> None:
        run("venv", "--relocatable", "--allow-existing", "--python", python, str(scratch))
        run("pip", "install", "--python", str(scratch / PYTHON), *requirements)

    place = made_once(folder(name, requirements, python), make, lambda place: (place / PYTHON).exists())
    home = (place / PYTHON).resolve().parents[1]
    if home.parent == _pythons().resolve():
        used(home)
    return place


def _pythons() -> Path:
    """Where uv puts the Pythons that it downloads: with the environments that they run, wherever these are kept."""
    return cache_dir() / "pythons"


def _uv(*words: str, remedy: str, limit_s: float) -> None:
    command = [sys.executable, "-m", "uv"] if find_spec("uv") else [shutil.which("uv") or ""]
    if not command[0]:
        raise Unavailable(
            "making an environment needs uv, which is not installed", "pip install 'bakeoff[environments]'"
        )
    line = mortal.program(*command, "--quiet", "--no-progress", *words)
    environment = {"UV_PYTHON_INSTALL_DIR": str(_pythons())} | os.environ
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=limit_s, env=environment)
    except subprocess.TimeoutExpired:
        reason = f"its environment was not made within {limit_s:.4g} s"
        raise Unavailable(reason, "look at the network, then run it again") from None
    if done.returncode:
        said = " ".join(done.stderr.replace("×", "").replace("╰─▶", "").replace("│", "").split())
        reason = f"its environment cannot be made: {said or 'uv said nothing'}"
        raise Unavailable(reason[:300], remedy)
