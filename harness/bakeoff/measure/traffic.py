"""Arrival times of an open loop, made before the block starts."""

from __future__ import annotations

import numpy as np

from bakeoff.measure.block import Int64


def poisson(qps: float, seconds: float, seed: int) -> Int64:
    """Poisson arrivals in ns from 0 on: round(qps x seconds) of them (at least one), ascending.

    A Poisson process with a given count is that many independent uniform moments, sorted: drawn so, the offered load
    is exactly the one asked for (MLPerf's LoadGen, which draws gaps, offers 406.6 QPS when asked for 400).
    """
    count = max(1, round(qps * seconds))
    moments = np.random.default_rng(seed).uniform(0, count / qps * 1e9, count)
    return np.sort(moments).astype(np.int64)


def mean_qps(arrivals_ns: Int64) -> float:
    """Requests per second of a schedule that ends a mean gap after its last arrival."""
    last_s = float(arrivals_ns[-1]) / 1e9
    return len(arrivals_ns) / (last_s * (1 + 1 / len(arrivals_ns))) if last_s > 0 else float("inf")
