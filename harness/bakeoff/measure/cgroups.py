"""What the control groups of this process allow it: CPU time and memory, in both versions of cgroups."""

from __future__ import annotations

from pathlib import PurePosixPath

from bakeoff.measure import linux

MOUNT = "/sys/fs/cgroup"
PERIOD_US = 100_000
"""The kernel's own period, where a quota names none."""


def quota_cpus() -> float | None:
    """The CPU quota in CPUs, None where there is none; the strictest of the groups this process is in."""
    return min(filter(None, map(_quota, groups("cpu"))), default=None)


def memory_limit_bytes() -> int | None:
    """The memory limit, None where there is none; the strictest of the groups this process is in."""
    limits = (_limit(group) for group in groups("memory"))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_free_bytes() -> int | None:
    """What is left within the tightest of the memory limits; None where there is none."""
    free = []
    for group in groups("memory"):
        limit = _limit(group)
        used = _either(group, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None:
            free.append(max(0, limit - used))
    return min(free, default=None)


def groups(controller: str) -> list[PurePosixPath]:
    """This process's groups for a controller, from its own up to the root, in both versions of cgroups.

    A container sees its own group at the root of the mount, and may be told a path that it cannot see: then the
    folders on the way to it are not there and tell nothing.
    """
    found: dict[PurePosixPath, None] = {}
    for line in linux.text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in [f"{MOUNT}/{controller}", f"{MOUNT}/{controllers}"] if controllers else [MOUNT]:
            own = PurePosixPath(mount, path.lstrip("/"))
            found |= dict.fromkeys(folder for folder in (own, *own.parents) if folder.is_relative_to(mount))
    return list(found)


def _quota(group: PurePosixPath) -> float | None:
    limit, _, period = linux.text(group / "cpu.max").strip().partition(" ")
    if limit.isdigit():
        return int(limit) / int(period or PERIOD_US)
    old_us = linux.whole(group / "cpu.cfs_quota_us") or 0
    return old_us / (linux.whole(group / "cpu.cfs_period_us") or PERIOD_US) if old_us > 0 else None


def _limit(group: PurePosixPath) -> int | None:
    return _either(group, "memory.max", "memory.limit_in_bytes")


def _either(group: PurePosixPath, new: str, old: str) -> int | None:
    found = linux.whole(group / new)
    return linux.whole(group / old) if found is None else found
