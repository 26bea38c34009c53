"""A shop's fleet, simulated: its requests go to replicas that are queues with the measured service times.

Where statistics allows it a few dozen replicas stand for thousands, each with arrivals of its own. A percentile's error
is told by sectioning (Asmussen and Glynn, Stochastic Simulation, III.5): the runs are independent, and so are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bakeoff.decide.capacity import drawn
from bakeoff.decide.fleet.balancing import Balancing, Stream, least_loaded_s, pooled_s
from bakeoff.decide.replica import Alone, Replica
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import Sla
from bakeoff.store.percentile import Floats

RUNS, POOLS, POOL = 24, 8, 32
"""Replicas that stand for all; with least-loaded balancing, pools of at most so many replicas each."""
_ONE_LANE, _MORE_LANES, _ONE_BY_ONE = 1_920_000, 480_000, 160_000
"""Requests that are simulated, so that each answer takes about a fifth of a second; those of pools and of batchers are
followed one by one."""
_WARM_UP = 0.1
BUSIEST = 0.98
"""Lanes that are busier count as overloaded: no run is long enough to tell how long their queue becomes."""
_WARM_UP_REQUESTS = 2000
_FEWEST_RUNS = 4
_FARTHEST = 64
"""So many times the replicas that just carry the load are tried until the SLA counts as out of reach."""


@dataclass(frozen=True, slots=True)
class Served:
    """A fleet at a rate. Latencies are None where it is overloaded, for then they grow without end, or nearly so.

    `p99_ms` is the SLA's own percentile, `p99_error_ms` half its 95 % Monte-Carlo interval, `over` the share of
    requests over the limit; `utilisation` is the share of its time in which a lane works.
    """

    replicas: int
    qps: float
    utilisation: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    p99_error_ms: float | None = None
    mean_ms: float | None = None
    over: float = 1.0
    simulated: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """The time until other replicas have started in place of the `lost` ones, for those that are left.

    `held` requests were at the lost ones on average and went with them. Latencies are None where no replica is left.
    """

    lost: int
    replicas: int
    seconds: float
    held: float | None
    p99_ms: float | None = None
    p99_error_ms: float | None = None
    over: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Replicas of one kind behind a balancer; the same seed gives every size of the fleet the same chances."""

    replica: Replica
    pattern: Pattern
    balancing: Balancing
    sla: Sla
    seed: int = 0
    effort: float = 1.0
    """How many requests are simulated, as a share of the usual number."""
    held: float = 1.0
    """By blocks at nearby rates a replica does at a rate what its replay does at that rate over this."""

    def at(self, replicas: int, qps: float) -> Served:
        """So many replicas that share `qps`, in the long run."""
        each_qps = qps / replicas / self.held
        if each_qps > BUSIEST * self.replica.saturation_qps:
            return Served(replicas, qps, each_qps / self.replica.saturation_qps)
        runs = POOLS if self._pooled else RUNS
        found = [self._run(replicas, each_qps, self._requests // runs, run) for run in range(runs)]
        parts = [latencies_s[int(len(latencies_s) * _WARM_UP) :] * 1e3 for _, latencies_s in found]
        joined = np.concatenate(parts)
        p99_ms, error_ms = self._tail(parts)
        return Served(
            replicas,
            qps,
            self.replica.utilisation(each_qps, *found[0]),
            float(np.median(joined)),
            p99_ms,
            error_ms,
            float(joined.mean()),
            self._over(joined),
            self._pool(replicas) if self._pooled else min(runs, replicas),
            len(joined),
        )

    def holds(self, served: Served) -> bool:
        """Whether the percentile is within the limit."""
        return served.p99_ms is not None and served.p99_ms <= self.sla.limit_ms

    def fewest(self, qps: float, likely: int) -> tuple[Served | None, tuple[Served, ...]]:
        """The fewest replicas that hold the SLA (None: no number does), looked for around a likely number, and all
        numbers that were tried on the way, ascending."""
        saturated = int(qps / (BUSIEST * self.held * self.replica.saturation_qps))
        low, high, tried = saturated, max(saturated + 1, likely), dict[int, Served]()

        def hold(replicas: int) -> bool:
            tried[replicas] = self.at(replicas, qps)
            return self.holds(tried[replicas])

        while not hold(high):
            low, high = high, 2 * high
            if high > _FARTHEST * (saturated + 1):
                return None, tuple(tried[one] for one in sorted(tried))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if hold(middle) else (middle, high)
        return tried[high], tuple(tried[one] for one in sorted(tried))

    def outage(self, before: Served, lost: int, seconds: float) -> Outage:
        """What happens while `lost` of the replicas are missing for so long, from the moment on that they are gone; the
        balancer sends them nothing more."""
        replicas, qps, left = before.replicas, before.qps / self.held, before.replicas - lost
        gone = None if before.mean_ms is None else lost * before.qps / replicas * before.mean_ms / 1e3
        if left < 1:
            return Outage(lost, left, seconds, gone)
        each_qps, pool = qps / replicas, self._pool(left)
        begin_s = _WARM_UP_REQUESTS / each_qps / pool
        count = _WARM_UP_REQUESTS + math.ceil(1.1 * pool * qps / left * seconds) + 100
        runs = max(_FEWEST_RUNS, self._requests // count)
        parts = []
        for run in range(runs):
            arrivals_s = self._arrivals_s(left, each_qps, count, run)
            late = arrivals_s > begin_s
            arrivals_s[late] = begin_s + (arrivals_s[late] - begin_s) * (left / replicas)
            arrivals_s = arrivals_s[arrivals_s < begin_s + seconds]
            latencies_s = self._latencies_s(arrivals_s, left, run)
            parts.append(latencies_s[np.searchsorted(arrivals_s, begin_s) :] * 1e3)
        parts = [np.concatenate(parts[first::RUNS]) for first in range(min(runs, RUNS))]
        return Outage(lost, left, seconds, gone, *self._tail(parts), self._over(np.concatenate(parts)))

    @property
    def _pooled(self) -> bool:
        return self.balancing == "least-loaded"

    @property
    def _requests(self) -> int:
        one_by_one = self._pooled or not isinstance(self.replica, Alone)
        usual = _ONE_BY_ONE if one_by_one else _ONE_LANE if self.replica.lanes == 1 else _MORE_LANES
        return int(usual * self.effort)

    def _pool(self, replicas: int) -> int:
        """How many replicas are simulated together."""
        return min(replicas, POOL) if self._pooled else 1

    def _run(self, replicas: int, each_qps: float, count: int, run: int) -> tuple[Floats, Floats]:
        arrivals_s = self._arrivals_s(replicas, each_qps, count, run)
        return arrivals_s, self._latencies_s(arrivals_s, replicas, run)

    def _arrivals_s(self, replicas: int, each_qps: float, count: int, run: int) -> Floats:
        seed = self.seed + run * POOL
        if self._pooled:
            return pooled_s(self.pattern, each_qps, self._pool(replicas), count, seed)
        return Stream(self.pattern, self.balancing, replicas, count, seed).arrivals_s(each_qps)

    def _latencies_s(self, arrivals_s: Floats, replicas: int, run: int) -> Floats:
        replica, rng = self.replica, np.random.default_rng([self.seed, run])
        if not self._pooled:
            return replica.latencies_s(arrivals_s, rng)
        if not isinstance(replica, Alone):
            raise ValueError("least-loaded balancing is simulated for replicas without a batcher")
        services_s = drawn(replica.services_s, len(arrivals_s), rng)
        return least_loaded_s(arrivals_s, services_s, self._pool(replicas), replica.lanes, rng) + replica.dispatch_s

    def _tail(self, parts: Sequence[Floats]) -> tuple[float | None, float | None]:
        """The percentile of all parts in ms, and half its 95 % interval."""
        known = [part for part in parts if len(part)]
        if not known:
            return None, None
        share, count = self.sla.percentile / 100.0, len(known)
        whole, *each = (np.quantile(part, share, method="inverted_cdf") for part in (np.concatenate(known), *known))
        if count < 2:
            return float(whole), None
        spread = math.sqrt(sum(float(one - whole) ** 2 for one in each) / (count * (count - 1)))
        return float(whole), float(special.stdtrit(count - 1, 0.975)) * spread

    def _over(self, latencies_ms: Floats) -> float:
        return float((latencies_ms > self.sla.limit_ms).mean()) if len(latencies_ms) else 0.0
