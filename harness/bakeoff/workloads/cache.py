"""Where prepared workloads, downloads and built artifacts are kept between runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """The folder named by BAKEOFF_CACHE, else the platform's place for a user's caches, "bakeoff" inside it."""
    named = os.environ.get("BAKEOFF_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bakeoff"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "bakeoff"
