"""The machine that measured: its facts, the CPUs to be had, and how noisy it is now. Linux's /proc and /sys."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import platform
import re
import resource
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Self

from bakeoff.backends import registered
from bakeoff.errors import UserError
from bakeoff.measure import linux
from bakeoff.measure.cgroups import memory_free_bytes, memory_limit_bytes, quota_cpus
from bakeoff.measure.gpu import gpus

X86_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni")
ARM_FLAGS = ("sve", "asimddp", "i8mm", "bf16")
PACKAGES = (
    "bakeoff",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "nncf",
    "tensorrt",
    "torch",
    "torchao",
    "transformers",
    "pandas",
    "scipy",
    "scikit-learn",
)
CONTAINERS = ("docker", "libpod", "containerd", "lxc", "nspawn", "podman")
SPIN_S = 0.3
GAP_NS = 20_000


def facts() -> dict[str, Any]:
    """What decides a result on this machine, as JSON-able values; nothing that names the machine or its owner."""
    cpuinfo = linux.text("/proc/cpuinfo")
    return {
        "host": host_id(),
        "product": product(),
        "cpu": cpu_model(),
        "cpu_flags": cpu_flags(),
        "cores": os.cpu_count() or 1,
        "smt": linux.text("/sys/devices/system/cpu/smt/active").strip() == "1",
        "affinity": sorted(os.sched_getaffinity(0)),
        "quota_cpus": quota_cpus(),
        "memory_bytes": memory_bytes(),
        "governor": governor(),
        "kernel": platform.release().partition("-")[0],
        "machine": platform.machine(),
        "virtual": "hypervisor" in linux.field(cpuinfo, "flags").split(),
        "container": container(),
        "gpus": gpus(),
    }


def environment() -> dict[str, Any]:
    """The software that decides a result, as JSON-able values: Python, packages, the commit of the current folder."""
    return {
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "packages": versions(),
        "git_commit": _git_commit(),
    }


def host_id() -> str:
    """A short id, the same for the same machine, from which its name cannot be read."""
    identity = linux.text("/etc/machine-id").strip() or platform.node()
    cpu = linux.field(linux.text("/proc/cpuinfo"), "model name")
    return hashlib.sha256(f"bakeoff {identity} {cpu}".encode()).hexdigest()[:12]


def product() -> str:
    """What the machine was sold as: some clouds' instance type, as in "c7i.4xlarge"; empty where nothing tells."""
    return linux.text("/sys/class/dmi/id/product_name").strip()


def cpu_model() -> str:
    """The CPU's name; on ARM, where the kernel knows none, its maker's and part's numbers."""
    cpuinfo = linux.text("/proc/cpuinfo")
    name = linux.field(cpuinfo, "model name")
    numbers = (linux.field(cpuinfo, f"CPU {what}") for what in ("implementer", "part"))
    return name or " ".join(filter(None, numbers))


def cpu_flags() -> list[str]:
    """The instruction sets that decide how fast, and how exactly, a model runs."""
    present = set(linux.field(linux.text("/proc/cpuinfo"), "flags", "Features").split())
    return [flag for flag in X86_FLAGS + ARM_FLAGS if flag in present]


def governor() -> str:
    """How the frequencies of the CPUs to be had are governed, as in "performance"; "unknown" where nothing tells."""
    cpus = sorted(os.sched_getaffinity(0))
    files = (f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor" for cpu in cpus)
    found = {linux.text(file).strip() for file in files} - {""}
    return ", ".join(sorted(found)) or "unknown"


def container() -> str:
    """What contains this process: "kubernetes", "podman", "docker", "container" for another kind, or "none"."""
    if linux.exists("/var/run/secrets/kubernetes.io") or "kubepods" in linux.text("/proc/1/cgroup"):
        return "kubernetes"
    if linux.exists("/run/.containerenv"):
        return "podman"
    if linux.exists("/.dockerenv"):
        return "docker"
    words = linux.text("/proc/1/cgroup") + linux.text("/run/systemd/container")
    return "container" if any(word in words for word in CONTAINERS) else "none"


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


def memory_bytes() -> int:
    """Memory to be had: the machine's, or the cgroup's limit where that is less."""
    return min(filter(None, (_meminfo_bytes("MemTotal"), memory_limit_bytes())), default=0)


def available_memory_bytes() -> int:
    """Memory that new processes can take now without swapping, within what the cgroups allow."""
    free, within = _meminfo_bytes("MemAvailable"), memory_free_bytes()
    return free if within is None else min(free, within)


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
    """How long, in all, tasks waited for a CPU (None: the kernel does not tell), and CPUs were taken away."""

    at_ns: int
    waited_us: int | None
    stolen_ticks: int

    @classmethod
    def now(cls) -> Self:
        """Read both counters."""
        some = re.search(r"some .*total=(\d+)", linux.text("/proc/pressure/cpu"))
        ticks = linux.text("/proc/stat").partition("\n")[0].split()
        return cls(time.monotonic_ns(), int(some.group(1)) if some else None, int(ticks[8]) if len(ticks) > 8 else 0)

    def since(self) -> dict[str, float]:
        """The shares of the time since then: psi (some task waited; absent where unknown), steal (of all CPUs)."""
        now = Pressure.now()
        wall_s = max(1, now.at_ns - self.at_ns) / 1e9
        stolen_s = (now.stolen_ticks - self.stolen_ticks) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
        shares = {"steal": round(stolen_s / wall_s, 4)}
        if now.waited_us is None or self.waited_us is None:
            return shares
        return {"psi": round((now.waited_us - self.waited_us) / 1e6 / wall_s, 4)} | shares


def noise(spin_s: float = SPIN_S) -> dict[str, float]:
    """How noisy the machine is now: a loop that does nothing but read the clock, and what kept it from doing so.

    `lost` is the share of the time in gaps over 20 us, `worst_gap_ms` the longest, `switches_per_second` how often
    another task took the CPU; with pressure (where known), steal and load.
    """
    pressure, switches = Pressure.now(), _involuntary_switches()
    begun_ns = last_ns = time.monotonic_ns()
    until_ns, lost_ns, worst_ns = begun_ns + round(spin_s * 1e9), 0, 0
    while last_ns < until_ns:
        now_ns = time.monotonic_ns()
        if now_ns - last_ns > GAP_NS:
            lost_ns += now_ns - last_ns
            worst_ns = max(worst_ns, now_ns - last_ns)
        last_ns = now_ns
    return {
        "lost": lost_ns / (last_ns - begun_ns),
        "worst_gap_ms": worst_ns / 1e6,
        "switches_per_second": (_involuntary_switches() - switches) / ((last_ns - begun_ns) / 1e9),
        **pressure.since(),
        "load": os.getloadavg()[0],
    }


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _meminfo_bytes(name: str) -> int:
    return int((linux.field(linux.text("/proc/meminfo"), name) or "0").split()[0]) * 1024


def _git_commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
