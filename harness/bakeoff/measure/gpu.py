"""The GPUs of this machine and their driver: by nvidia-smi, else by what the driver tells in /proc."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from bakeoff.measure import linux

QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]
PATIENCE_S = 10.0


def gpus() -> list[dict[str, Any]]:
    """Each GPU's `name` and `driver`, and its `memory_bytes` where that is known; empty where there is none."""
    return _asked() or _read()


def _asked() -> list[dict[str, Any]]:
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [
        {"name": name, "driver": driver} | ({"memory_bytes": int(mib) << 20} if mib.isdigit() else {})
        for name, driver, mib in (row for row in rows if len(row) == 3)
    ]


def _read() -> list[dict[str, Any]]:
    version = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", linux.text("/proc/driver/nvidia/version"))
    cards = [linux.text(f"{one}/information") for one in linux.folders("/proc/driver/nvidia/gpus/*")]
    names = [linux.field(card, "Model") for card in cards]
    return [{"name": name, "driver": version.group(1) if version else "unknown"} for name in names if name]
