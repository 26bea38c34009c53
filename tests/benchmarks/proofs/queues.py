"""Queues whose truth is known: the exact tail of M/PH/1 and M/D/1, and simulated engines that are such queues.

Service times have mean 1 s and are of phase type (Erlang, exponential, hyperexponential) or constant, so that the tail
of the latency is known exactly (Asmussen, Applied Probability and Queues, III.6 and VIII.5) and not only simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.optimize import brentq

from bakeoff.decide.capacity import sojourns_s
from bakeoff.measure.block import Block

Floats = np.ndarray[Any, np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int], Floats]

WARM_UP = 6000
"""Requests simulated and left out, so that a block begins in the steady state."""


@dataclass(frozen=True, slots=True)
class Service:
    """A distribution of service times with mean 1 s: how to draw it, and how likely a latency exceeds t at a rate."""

    draw: Draw
    exceedance: Callable[[float, float], float]

    def latency_s(self, rate: float, percentile: float) -> float:
        """The true percentile of latency (wait + service) at `rate` requests per second, which is below 1."""
        share = 1.0 - percentile / 100.0
        longest = 1.0
        while self.exceedance(rate, longest) > share:
            longest *= 2.0
        return float(brentq(lambda t: self.exceedance(rate, t) - share, 0.0, longest, xtol=1e-9))

    def capacity_qps(self, limit_s: float, percentile: float) -> float:
        """The rate at which that percentile is exactly `limit_s`."""
        share = 1.0 - percentile / 100.0
        return float(brentq(lambda rate: self.exceedance(rate, limit_s) - share, 1e-6, 1.0 - 1e-6, xtol=1e-9))


def phases(start: Floats, rates: Floats) -> Callable[[float, float], float]:
    """The exceedance of M/PH/1: `start` are the first phase's chances, `rates` the generator among the phases."""
    leaving = -rates.sum(axis=1)
    residual = start @ np.linalg.inv(-rates)  # of mean 1: the chances of the phase of a service under way

    def exceedance(rate: float, seconds: float) -> float:
        waiting = rates + np.outer(leaving, rate * residual)
        served = np.outer(leaving * (1.0 - rate), start)
        size = len(start)
        generator = np.block([[waiting, served], [np.zeros((size, size)), rates]])
        first = np.concatenate([rate * residual, (1.0 - rate) * start])
        return float((first @ expm(generator * seconds)).sum())

    return exceedance


def constant_exceedance(rate: float, seconds: float) -> float:
    """That of M/D/1: 1 - (1 - rho) sum over k of (rho (k - w))^k / k! exp(-rho (k - w)), w the wait (Erlang 1909)."""
    wait = seconds - 1.0
    if wait < 0.0:
        return 1.0
    terms = ((rate * (k - wait)) ** k / math.factorial(k) * math.exp(-rate * (k - wait)) for k in range(int(wait) + 1))
    return 1.0 - (1.0 - rate) * math.fsum(terms)


def _erlang(shape: int) -> Service:
    start = np.eye(shape)[0]
    rates = shape * (np.eye(shape, k=1) - np.eye(shape))
    return Service(lambda rng, count: rng.gamma(shape, 1.0 / shape, count), phases(start, rates))


def _hyperexponential(often: float, quick_s: float, slow_s: float) -> Service:
    start = np.array([often, 1.0 - often])
    means = np.array([quick_s, slow_s])

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return rng.exponential(np.where(rng.random(count) < often, quick_s, slow_s))

    return Service(draw, phases(start, np.diag(-1.0 / means)))


SERVICES: Mapping[str, Service] = {
    "M/D/1": Service(lambda rng, count: np.ones(count), constant_exceedance),
    "M/E4/1": _erlang(4),
    "M/M/1": _erlang(1),
    "M/H2/1": _hyperexponential(0.9, 0.6, 4.6),
}
"""M/H2/1: one request in ten takes 4.6 times the mean, for a coefficient of variation of 1.9."""


def latencies_s(
    service: Service, rate: float, count: int, rng: np.random.Generator, warm_up: int = WARM_UP
) -> tuple[Floats, Floats, Floats]:
    """Arrivals, service times and latencies of `count` requests in the steady state, in seconds.

    Without `warm_up` requests before them they begin at an idle engine.
    """
    total = count + warm_up
    arrivals, services = np.cumsum(rng.exponential(1.0 / rate, total)), service.draw(rng, total)
    latencies = sojourns_s(arrivals, services, 1)
    begun = arrivals[warm_up - 1] if warm_up else 0.0
    return arrivals[warm_up:] - begun, services[warm_up:], latencies[warm_up:]


def block(
    service: Service, rate: float, count: int, rng: np.random.Generator, unit_s: float = 1e-3, warm_up: int = WARM_UP
) -> Block:
    """A simulated engine's block; `unit_s` is its mean service time, and `rate` in requests per that."""
    arrivals, services, latencies = (unit_s * 1e9 * part for part in latencies_s(service, rate, count, rng, warm_up))
    done = arrivals + latencies
    scheduled, started, done_ns = (part.astype(np.int64) for part in (arrivals, done - services, done))
    return Block(
        kind="open",
        offered_qps=rate / unit_s,
        request=np.zeros(count, np.int32),
        items=np.ones(count, np.int32),
        scheduled_ns=scheduled,
        sent_ns=scheduled,
        started_ns=started,
        done_ns=np.maximum(done_ns, scheduled + 1),
        wall_ns=int(done_ns.max()),
        cpu_ns=int(services.sum()),
    )
