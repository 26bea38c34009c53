"""The machine that measured: its facts, the CPUs to be had, and how noisy it is now. Linux's /proc and /sys."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bakeoff.backends import registered
from bakeoff.errors import UserError

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = (
    "bakeoff",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "torch",
    "torchao",
    "transformers",
    "pandas",
    "scipy",
    "scikit-learn",
)
SPIN_S = 0.3
GAP_NS = 20_000


def facts() -> dict[str, Any]:
    """What decides a result on this machine, as JSON-able values; nothing that names the machine or its owner."""
    cpuinfo = _text("/proc/cpuinfo")
    return {
        "host": host_id(),
        "cpu": _field(cpuinfo, "model name"),
        "cpu_flags": cpu_flags(),
        "cores": os.cpu_count() or 1,
        "affinity": sorted(os.sched_getaffinity(0)),
        "quota_cpus": quota_cpus(),
        "memory_bytes": memory_bytes(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or "unknown",
        "kernel": platform.release().partition("-")[0],
        "machine": platform.machine(),
        "container": _container(),
    }


def environment() -> dict[str, Any]:
    """The software that decides a result, as JSON-able values: Python, packages, the commit of the current folder."""
    return {"python": platform.python_version(), "packages": versions(), "git_commit": _git_commit()}


def host_id() -> str:
    """A short id, the same for the same machine, from which its name cannot be read."""
    identity = _text("/etc/machine-id").strip() or platform.node()
    cpu = _field(_text("/proc/cpuinfo"), "model name")
    return hashlib.sha256(f"bakeoff {identity} {cpu}".encode()).hexdigest()[:12]


def cpu_flags() -> list[str]:
    """The instruction sets that decide how fast, and how exactly, a model runs."""
    present = set(_field(_text("/proc/cpuinfo"), "flags").split())
    return [flag for flag in FLAGS if flag in present]


def versions() -> dict[str, str]:
    """Installed versions of what a result may depend on, plugins' own packages included."""
    plugins = {point.dist.name for point in registered().values() if point.dist is not None}
    found = {}
    for name in sorted({*PACKAGES, *plugins}):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def quota_cpus() -> float | None:
    """The cgroup's CPU quota in CPUs, None where there is none; the strictest of the groups this process is in."""
    quotas = []
    for group in _cgroups("cpu"):
        limit, _, period = _text(group / "cpu.max").strip().partition(" ")
        if limit and limit != "max":
            quotas.append(int(limit) / int(period or 100_000))
        old = _text(group / "cpu.cfs_quota_us").strip()
        if old and int(old) > 0:
            quotas.append(int(old) / int(_text(group / "cpu.cfs_period_us") or 100_000))
    return min(quotas, default=None)


def memory_bytes() -> int:
    """Memory to be had: the machine's, or the cgroup's limit where that is less."""
    total = int((_field(_text("/proc/meminfo"), "MemTotal") or "0").split()[0]) * 1024
    for group in _cgroups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(group / name).strip()
            if text.isdigit():
                total = min(total, int(text))
    return total


def available_memory_bytes() -> int:
    """Memory that new processes can take now without swapping, within what the cgroups allow."""
    free = int((_field(_text("/proc/meminfo"), "MemAvailable") or "0").split()[0]) * 1024
    for group in _cgroups("memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            texts = [_text(group / name).strip() for name in (limit, used)]
            if all(text.isdigit() for text in texts):
                free = min(free, max(0, int(texts[0]) - int(texts[1])))
    return free


def allowed_cpus() -> tuple[int, ...]:
    """The ids of the CPUs this process may use: its affinity, cut to what the cgroup's quota pays for."""
    ids = sorted(os.sched_getaffinity(0))
    quota = quota_cpus()
    return tuple(ids if quota is None else ids[: max(1, math.floor(quota + 0.01))])


def engine_cpus(cpus: int | None) -> tuple[tuple[int, ...], int | None]:
    """The CPU ids for the engines and the one for the load generator, None where none is left for it.

    `cpus` is how many the engines may use (None: all but one, where there is more than one). Raises UserError where
    that is more than there are.
    """
    allowed = allowed_cpus()
    if cpus is None:
        cpus = max(1, len(allowed) - 1)
    if cpus > len(allowed):
        raise UserError(f"resources: cpus: {cpus} asked for, and this process may use {len(allowed)}")
    return allowed[len(allowed) - cpus :], allowed[0] if len(allowed) > cpus else None


@dataclass(frozen=True, slots=True)
class Pressure:
    """How long, in all, tasks waited for a CPU, and how long the hypervisor took CPUs away."""

    at_ns: int
    waited_us: int
    stolen_ticks: int

    @classmethod
    def now(cls) -> Self:
        """Read both counters."""
        some = re.search(r"some .*total=(\d+)", _text("/proc/pressure/cpu"))
        ticks = _text("/proc/stat").partition("\n")[0].split()
        return cls(time.monotonic_ns(), int(some.group(1)) if some else 0, int(ticks[8]) if len(ticks) > 8 else 0)

    def since(self) -> dict[str, float | int | str]:
        """The shares of the time since then: psi (some task waited), steal (of all CPUs)."""
        then, wall_s = Pressure.now(), (time.monotonic_ns() - self.at_ns) / 1e9
        stolen_s = (then.stolen_ticks - self.stolen_ticks) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
        return {
            "psi": round((then.waited_us - self.waited_us) / 1e6 / wall_s, 4),
            "steal": round(stolen_s / wall_s, 4),
        }


def noise(spin_s: float = SPIN_S) -> dict[str, float]:
    """How noisy the machine is now: a loop that does nothing but read the clock, and what kept it from doing so.

    `lost` is the share of the time in gaps over 20 us, `worst_gap_ms` the longest; with pressure, steal and load.
    """
    pressure = Pressure.now()
    begun_ns = last_ns = time.monotonic_ns()
    until_ns, lost_ns, worst_ns = begun_ns + round(spin_s * 1e9), 0, 0
    while last_ns < until_ns:
        now_ns = time.monotonic_ns()
        if now_ns - last_ns > GAP_NS:
            lost_ns += now_ns - last_ns
            worst_ns = max(worst_ns, now_ns - last_ns)
        last_ns = now_ns
    since = pressure.since()
    return {
        "lost": lost_ns / (last_ns - begun_ns),
        "worst_gap_ms": worst_ns / 1e6,
        "psi": float(since["psi"]),
        "steal": float(since["steal"]),
        "load": os.getloadavg()[0],
    }


def _cgroups(controller: str) -> list[Path]:
    """This process's groups for a controller, from its own up to the root, in both versions of cgroups."""
    folders = []
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup") / controller if controllers else Path("/sys/fs/cgroup")
        own = root / path.lstrip("/")
        folders += [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return folders


def _container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _git_commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""
