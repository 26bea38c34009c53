"""The GPU memory that a warm engine holds, and its limit."""

from __future__ import annotations

from collections.abc import Iterable

from bakeoff.measure import gpu, procs
from bakeoff.measure.block import Fact
from bakeoff.measure.child import StageFailed
from bakeoff.scenario.device import gpus_of

MIB = 2**20
FACT = "gpu_memory_bytes"
"""What the ledger calls it."""


def held(device: str, pids: Iterable[int], limit_bytes: int | None) -> dict[str, Fact]:
    """`gpu_memory_bytes` of workers and all that they started, where the driver tells; nothing on the CPU.

    Raises StageFailed above the limit, and where there is one and the driver tells nothing: what is unknown passes no
    limit.
    """
    if not gpus_of(device):
        return {}
    found = gpu.memory_bytes({each for pid in pids for each in (pid, *procs.descendants(pid))})
    if found is None and limit_bytes is not None:
        reason = "the driver does not say how much GPU memory it holds, so that no limit can be kept"
        raise StageFailed("load", "unavailable", reason, "leave out resources.gpu_memory, or share the host's pids")
    if found is not None and limit_bytes is not None and found > limit_bytes:
        reason = f"holds {found / MIB:.0f} MiB of GPU memory, above the limit of {limit_bytes / MIB:.0f}"
        raise StageFailed("load", "out-of-memory", reason, facts={FACT: found})
    return {} if found is None else {FACT: found}
