"""Runs a script by an interpreter of its own, whose packages do not go with ours."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bakeoff.workloads import mortal, venvs

LIMIT_S = 3600.0


def run(
    script: Path,
    words: Sequence[str],
    requirements: Sequence[str],
    settings: Mapping[str, str],
    limit_s: float = LIMIT_S,
) -> None:
    """Run `script words` in the environment of the requirements, with `settings` in its variables, and wait for it.

    It finds that environment's packages and none of ours, dies with this process, and what it prints goes to a log. A
    script that failed, or ran out of time, is a RuntimeError with its last line; raises Unavailable where the
    environment cannot be made.
    """
    remedy = f"it needs a package index once, and a Python that {' and '.join(requirements)} have wheels for"
    python = venvs.made(script.stem.replace("_", "-"), requirements, remedy) / venvs.PYTHON
    line = mortal.program(str(python), "-I", str(script), *words)
    with tempfile.TemporaryFile() as log:
        try:
            done = subprocess.run(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | settings,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{script.stem} had not ended after {limit_s:.0f} s") from None
        if done.returncode:
            log.seek(0)
            lines = [text for text in log.read().decode(errors="replace").splitlines() if text.strip()]
            raise RuntimeError(f"{script.stem}: {lines[-1].strip() if lines else f'status {done.returncode}'}")
