"""The GPUs of this machine and their driver: by nvidia-smi, else by what the driver tells in /proc."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection
from functools import cache
from typing import Any

from bakeoff.errors import UserError
from bakeoff.measure import linux
from bakeoff.scenario.device import gpus_of

CARDS = "--query-gpu=name,driver_version,memory.total,compute_cap"
HELD = "--query-compute-apps=pid,used_gpu_memory"
PATIENCE_S = 10.0
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


def gpus() -> list[dict[str, Any]]:
    """Each GPU's `name` and `driver`; its `memory_bytes` and `compute_capability` ("9.0") where they are known."""
    return _asked() or _read()


def environment(device: str) -> dict[str, str]:
    """What a child's environment says of the GPUs, so that an engine finds those of `device` alone, as the first ones.

    Where this process was given some GPUs by name or number, they are counted among those. Raises UserError where it
    was given fewer.
    """
    given = os.environ.get(VISIBLE)
    chosen = [str(number) for number in gpus_of(device)]
    if given is not None and chosen:
        names = [name.strip() for name in given.split(",") if name.strip()]
        if max(map(int, chosen)) >= len(names):
            raise UserError(f"resources: device: {device}: {VISIBLE}={given} leaves {len(names)} GPUs to choose from")
        chosen = [names[int(number)] for number in chosen]
    return {VISIBLE: ",".join(chosen), ORDER: "PCI_BUS_ID"}


@cache
def architecture(device: str) -> str:
    """What an artifact for `device` is bound to: which GPUs see it, and what this machine's GPUs are; "" on the CPU."""
    if not gpus_of(device):
        return ""
    kinds = {f"{card['name']} {card.get('compute_capability', '')}".strip() for card in gpus()}
    return f"{environment(device)[VISIBLE]} of {', '.join(sorted(kinds)) or 'none known'}"


def least_memory_bytes(device: str) -> int | None:
    """The memory of the smallest GPU here, which all engines loaded together may have to share; None on the CPU, and
    where it is not known."""
    known = [card["memory_bytes"] for card in gpus() if "memory_bytes" in card] if gpus_of(device) else []
    return min(known, default=None)


def memory_bytes(pids: Collection[int]) -> int | None:
    """GPU memory that these processes hold, on all GPUs together; None where the driver does not tell.

    In a container the driver may count processes by the host's numbers, and then it tells nothing of these.
    """
    rows = [row for row in _smi(HELD) if row[0].isdigit() and int(row[0]) in pids]
    if not rows or not all(len(row) == 2 and row[1].isdigit() for row in rows):
        return None
    return sum(int(mib) << 20 for _, mib in rows)


def _smi(query: str) -> list[list[str]]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _asked() -> list[dict[str, Any]]:
    return [
        {"name": name, "driver": driver}
        | ({"memory_bytes": int(mib) << 20} if mib.isdigit() else {})
        | ({"compute_capability": capability} if capability[:1].isdigit() else {})
        for name, driver, mib, capability in (row for row in _smi(CARDS) if len(row) == 4)
    ]


def _read() -> list[dict[str, Any]]:
    version = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", linux.text("/proc/driver/nvidia/version"))
    cards = [linux.text(f"{one}/information") for one in linux.folders("/proc/driver/nvidia/gpus/*")]
    names = [linux.field(card, "Model") for card in cards]
    return [{"name": name, "driver": version.group(1) if version else "unknown"} for name in names if name]
