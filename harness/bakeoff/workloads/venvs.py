"""Environments of their own: what uv makes of a list of requirements, once, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bakeoff.backends import Unavailable
from bakeoff.workloads import mortal
from bakeoff.workloads.cache import cache_dir
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
) -> Path:
    """The environment's folder, made by uv where there is none, for `python` (a path, or a version that uv finds).

    Raises Unavailable with the reason, and with the `remedy` where uv cannot do it.
    """

    def make(scratch: Path) -> None:
        _uv("venv", "--relocatable", "--allow-existing", "--python", python, str(scratch), remedy=remedy)
        _uv("pip", "install", "--python", str(scratch / PYTHON), *requirements, remedy=remedy)

    return made_once(folder(name, requirements, python), make)


def _uv(*words: str, remedy: str) -> None:
    command = [sys.executable, "-m", "uv"] if find_spec("uv") else [shutil.which("uv") or ""]
    if not command[0]:
        raise Unavailable(
            "making an environment needs uv, which is not installed", "pip install 'bakeoff[environments]'"
        )
    line = mortal.program(*command, "--quiet", "--no-progress", *words)
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=MAKING_LIMIT_S)
    except subprocess.TimeoutExpired:
        reason = f"its environment was not made within {MAKING_LIMIT_S:.0f} s"
        raise Unavailable(reason, "look at the network, then run it again") from None
    if done.returncode:
        said = " ".join(done.stderr.replace("×", "").replace("╰─▶", "").replace("│", "").split())
        reason = f"its environment cannot be made: {said or 'uv said nothing'}"
        raise Unavailable(reason[:300], remedy)
