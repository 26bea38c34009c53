"""How the proofs start processes of their own, which find this package too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HERE = str(Path(__file__).resolve().parents[1])


def environment() -> dict[str, str]:
    """The environment of a child."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [_HERE, os.environ.get("PYTHONPATH", "")]))}


def python(*words: str) -> list[str]:
    """The command of a child."""
    return [sys.executable, *words]
