"""What serving costs: cores or GPUs held while a million items are scored at capacity, in money if there is a price."""

from __future__ import annotations

import math

from bakeoff.scenario import Price

HOURS_A_YEAR = 8760
_MILLION = 1e6
_ROUNDING = 1e-12
"""What the last digits of a product may add to a whole number of replicas."""


def cost_unit(price: Price | None, gpus: int = 0) -> str:
    """What `cost_per_million` counts."""
    seconds = "GPU-seconds" if gpus else "core-seconds"
    return f"{price.currency if price else seconds} per million items"


def cost_per_million(items_per_s: float, cpus: int, price: Price | None, gpus: int = 0) -> float:
    """The cost of a million scored items on a replica that holds `cpus` cores and `gpus` GPUs and scores `items_per_s`.

    A price per host-hour takes a replica to be a host. Raises ValueError unless the rate is above zero.
    """
    if not items_per_s > 0.0 or not math.isfinite(items_per_s):
        raise ValueError(f"items per second must be above 0, not {items_per_s}")
    seconds = _MILLION / items_per_s
    return seconds * (gpus or cpus) if price is None else seconds / 3600.0 * hourly(cpus, price, gpus)


def hourly(cpus: int, price: Price, gpus: int = 0) -> float:
    """What a replica costs in an hour."""
    return price.amount * {"core-hour": cpus, "gpu-hour": gpus, "host-hour": 1}[price.per]


def replicas(fleet_qps: float, capacity_qps: float, headroom: float, spare: int) -> int:
    """How many replicas carry the shop's load with a fraction of room above it, at least one, and the spare ones."""
    exactly = fleet_qps * (1.0 + headroom) / capacity_qps
    return max(1, math.ceil(exactly * (1.0 - _ROUNDING))) + spare


def yearly(an_hour: float) -> float:
    """What costs so much in an hour costs in a year of running all the time."""
    return an_hour * HOURS_A_YEAR
