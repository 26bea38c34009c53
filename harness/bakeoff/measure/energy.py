"""The energy that the machine took, where its counters can be read: RAPL for the CPUs, NVML for an NVIDIA GPU.

The counters are the whole machine's: they hold what idles and what others do as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from bakeoff.measure import linux
from bakeoff.measure.block import Fact

ZONES = "/sys/class/powercap/intel-rapl:*"
RAPL, NVML = "RAPL", "NVML"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of joules, and the value at which it starts from 0 again (0.0: never)."""

    joules: float
    wraps_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Energy:
    """The readable counters of one moment, by source and place."""

    device: str
    counters: Mapping[tuple[str, str], Counter]

    @classmethod
    def now(cls, device: str = "cpu") -> Self:
        """Read the counters: the CPUs', and the GPUs' where the device is one."""
        return cls(device, _rapl() | (_nvml() if device != "cpu" else {}))

    def since(self) -> dict[str, Fact]:
        """`energy_j` and `energy_source` ("RAPL", "NVML", "NVML+RAPL"); empty where no counter can be read."""
        now = Energy.now(self.device).counters
        both = self.counters.keys() & now.keys()
        if not both:
            return {}
        used = sum(_used(self.counters[key], now[key]) for key in both)
        return {"energy_j": used, "energy_source": "+".join(sorted({source for source, _ in both}))}


def _used(before: Counter, after: Counter) -> float:
    used = after.joules - before.joules
    return used if used >= 0.0 else used + after.wraps_at


def _rapl() -> dict[tuple[str, str], Counter]:
    """Every package's counter. Sub-zones are part of their package, psys holds packages: neither counts twice."""
    found = {}
    for zone in linux.folders(ZONES):
        value = linux.whole(f"{zone}/energy_uj")
        if zone.count(":") == 1 and value is not None and linux.text(f"{zone}/name").startswith("package"):
            found[RAPL, zone] = Counter(value / 1e6, (linux.whole(f"{zone}/max_energy_range_uj") or 0) / 1e6)
    return found


def _nvml() -> dict[tuple[str, str], Counter]:
    nvml, found = _library(), {}
    if nvml is not None:
        with contextlib.suppress(nvml.NVMLError):
            for index in range(nvml.nvmlDeviceGetCount()):
                millijoules = nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByIndex(index))
                found[NVML, str(index)] = Counter(millijoules / 1e3)
    return found


@cache
def _library() -> Any:
    """NVIDIA's library, ready for use; None where the package nvidia-ml-py or the driver is missing."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
