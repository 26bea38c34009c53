"""What one replica can carry: measured service times, replayed through a queue with Poisson arrivals.

Requests queue for the first free of k lanes (Kiefer and Wolfowitz; for one lane Lindley's recursion). The arrivals'
gaps are the same for every candidate and rate, only scaled, so that chance cancels in comparisons, and latency can only
grow with the rate.
"""

from __future__ import annotations

import heapq

import numpy as np

from bakeoff.store.percentile import Floats

FEWEST_SERVICES = 30
_REPLAYED = {1: 24_000}
_REPLAYED_LANES = 8_000
_WARM_UP = 0.1
_STEPS = 16


def capacity_qps(
    service_s: Floats, lanes: int, dispatch_s: float, percentile: float, limit_ms: float, seed: int
) -> float | None:
    """The highest rate at which the percentile of latency (wait + dispatch + service) is within the limit.

    `service_s`: at least 30 measured service times in order; None with fewer, or where an idle engine misses the limit.
    """
    if len(service_s) < FEWEST_SERVICES:
        return None
    count = _REPLAYED.get(lanes, _REPLAYED_LANES)
    services = np.resize(service_s, count)
    gaps = np.random.default_rng(seed).exponential(size=count)
    arrivals = np.cumsum(gaps / gaps.mean())
    saturation = lanes / float(services.mean())
    limit_s = limit_ms / 1e3 - dispatch_s
    skipped = int(count * _WARM_UP)

    def meets(load: float) -> bool:
        latency = sojourns_s(arrivals / (load * saturation), services, lanes)[skipped:]
        return bool(np.quantile(latency, percentile / 100.0, method="inverted_cdf") <= limit_s)

    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low * saturation if low > 0.0 else None


def sojourns_s(arrivals_s: Floats, services_s: Floats, lanes: int) -> Floats:
    """Wait + service of each request, in order of arrival, first come first served by the first free of `lanes`."""
    if lanes == 1:
        work = np.cumsum(services_s)
        done = work + np.maximum.accumulate(arrivals_s - (work - services_s))
        return np.asarray(done - arrivals_s)
    free = [0.0] * lanes
    sojourns: list[float] = []
    for arrival, service in zip(arrivals_s.tolist(), services_s.tolist(), strict=True):
        done = max(arrival, free[0]) + service
        heapq.heapreplace(free, done)
        sojourns.append(done - arrival)
    return np.array(sojourns)
