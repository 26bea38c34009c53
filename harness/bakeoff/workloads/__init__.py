"""The models in question, with their requests, reference outputs and held-out data.

A worker imports `bakeoff.workloads.prepared` through here, so the parent's side is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bakeoff.workloads.cache import cache_dir

if TYPE_CHECKING:
    from bakeoff.scenario import Scenario
    from bakeoff.workloads.prepared import Prepared
    from bakeoff.workloads.workload import HeldOut, Trained, Workload

__all__ = ["HeldOut", "Trained", "Workload", "cache_dir", "prepare"]


def __getattr__(name: str) -> Any:
    """What a workload of one's own is made of, imported at first use."""
    if name not in ("HeldOut", "Trained", "Workload"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bakeoff.workloads import workload

    return getattr(workload, name)


def prepare(
    scenario: Scenario,
    min_pool_bytes: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
    training_seed: int | None = None,
) -> Prepared:
    """The scenario's workload, from the cache or made by a child process; see `preparing.prepare`."""
    from bakeoff.workloads import preparing

    return preparing.prepare(scenario, min_pool_bytes, progress, training_seed)
