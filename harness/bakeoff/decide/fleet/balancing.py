"""What a fleet's balancing makes of its arrivals: the stream that each replica gets, and the queues of a whole pool.

Random balancing splits Poisson arrivals into independent Poisson streams, and round robin gives each replica every
N-th of them, with Erlang gaps: one replica stands for all. Least loaded looks at all replicas at each request.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bakeoff.measure.traffic import Pattern, arrivals, burst_path
from bakeoff.store.percentile import Floats

Balancing = Literal["random", "round-robin", "least-loaded"]
BALANCINGS: tuple[Balancing, ...] = get_args(Balancing)


@dataclass(frozen=True, slots=True)
class Stream:
    """`count` arrivals of the fleet's `pattern` at one of `replicas` that share them, drawn with `seed`."""

    pattern: Pattern
    balancing: Balancing
    replicas: int
    count: int
    seed: int

    def arrivals_s(self, qps: float) -> Floats:
        """Seconds of each, ascending, `qps` being one replica's mean rate.

        Of a trace each replica gets a window of its own, as in the measuring, whatever the balancing.
        """
        if self.pattern.kind == "trace":
            return arrivals(self.pattern, qps, self.count / qps, self.seed) / 1e9
        moments_s: Floats = np.cumsum(self._gaps(np.random.default_rng([self.seed, 0]))) / qps
        if self.pattern.kind != "burst":
            return moments_s
        ends_s, mass_s = burst_path(self.pattern, float(moments_s[-1]), np.random.default_rng([self.seed, 1]))
        return np.asarray(np.interp(moments_s, mass_s, ends_s), np.float64)

    def _gaps(self, rng: np.random.Generator) -> Floats:
        """Gaps of mean 1 between the arrivals in terms of the cumulated rate."""
        share = 1.0 / self.replicas
        if self.balancing == "round-robin":
            even = self.pattern.kind == "constant"
            return np.ones(self.count) if even else rng.gamma(self.replicas, share, self.count)
        if self.pattern.kind == "constant":
            return np.asarray(rng.geometric(share, self.count) * share)
        return rng.exponential(size=self.count)


def pooled_s(pattern: Pattern, qps: float, replicas: int, count: int, seed: int) -> Floats:
    """`count` arrivals, in seconds, at a pool of `replicas` as a whole, whose rate is `qps` each."""
    if pattern.kind == "trace":
        each = [Stream(pattern, "random", 1, count // replicas, seed + one).arrivals_s(qps) for one in range(replicas)]
        return np.sort(np.concatenate(each))
    return Stream(pattern, "random", 1, count, seed).arrivals_s(qps * replicas)


def least_loaded_s(
    arrivals_s: Floats, services_s: Floats, replicas: int, lanes: int, rng: np.random.Generator
) -> Floats:
    """Wait + service of each request; it goes to a replica with the fewest unanswered ones, at random among equals."""
    free = [[0.0] * lanes for _ in range(replicas)]
    held, levels = [0] * replicas, [list(range(replicas))]
    place, done, least = list(range(replicas)), list[tuple[float, int]](), 0
    sojourns: list[float] = []

    def move(one: int, by: int) -> None:
        level, last = levels[held[one]], levels[held[one]][-1]
        level[place[one]], place[last] = last, place[one]
        level.pop()
        held[one] += by
        if held[one] == len(levels):
            levels.append([])
        place[one] = len(levels[held[one]])
        levels[held[one]].append(one)

    chances = rng.random(len(arrivals_s)).tolist()
    for arrival, service, chance in zip(arrivals_s.tolist(), services_s.tolist(), chances, strict=True):
        while done and done[0][0] <= arrival:
            _, one = heapq.heappop(done)
            move(one, -1)
            least = min(least, held[one])
        while not levels[least]:
            least += 1
        one = levels[least][int(chance * len(levels[least]))]
        move(one, 1)
        answered = max(arrival, free[one][0]) + service
        heapq.heapreplace(free[one], answered)
        heapq.heappush(done, (answered, one))
        sojourns.append(answered - arrival)
    return np.array(sojourns)
