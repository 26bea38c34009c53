"""What serving costs: the CPUs held while a million items are scored at capacity, in money where there is a price."""

from __future__ import annotations

import math

from bakeoff.scenario import Price

HOURS_A_YEAR = 8760
_MILLION = 1e6


def cost_unit(price: Price | None) -> str:
    """What `cost_per_million` counts."""
    return f"{price.currency} per million items" if price else "core-seconds per million items"


def cost_per_million(items_per_s: float, cpus: int, price: Price | None) -> float:
    """The cost of a million scored items on a replica that holds `cpus` cores and scores `items_per_s`.

    A price per host-hour takes a replica to be a host. Raises ValueError unless the rate is above zero.
    """
    if not items_per_s > 0.0 or not math.isfinite(items_per_s):
        raise ValueError(f"items per second must be above 0, not {items_per_s}")
    seconds = _MILLION / items_per_s
    return seconds * cpus if price is None else seconds / 3600.0 * hourly(cpus, price)


def hourly(cpus: int, price: Price) -> float:
    """What a replica costs in an hour."""
    return price.amount * (cpus if price.per == "core-hour" else 1)


def replicas(fleet_qps: float, capacity_qps: float) -> int:
    """How many replicas carry the shop's load, at least one."""
    return max(1, math.ceil(fleet_qps / capacity_qps))


def yearly_cost(count: int, cpus: int, price: Price) -> float:
    """What so many replicas cost in a year of running all the time."""
    return count * hourly(cpus, price) * HOURS_A_YEAR
