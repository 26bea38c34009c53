"""The load that a scenario's traffic puts on an engine: open loop at a rate, or closed loop."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.measure import traffic
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine
from bakeoff.scenario import Scenario

LEAST_GRACE_S = 0.5
SHORTEST_S = 1.0
"""A budget shortens blocks, down to this."""
FEWEST_REQUESTS = 40
"""A block of fewer says nothing of capacity: at a low rate it lasts longer."""


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Poisson arrivals at `qps`; after the last one, answers are awaited for `grace_s`."""

    qps: float
    seconds: float
    grace_s: float

    def play(self, engine: Engine, seed: int) -> Block:
        """One block; the same seed gives every candidate the same arrivals."""
        arrivals_ns = traffic.poisson(self.qps, self.seconds, seed)
        return engine.open(arrivals_ns, self.grace_s, seed, offered_qps=self.qps)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each lane sends its next request when the last is answered; `join` consecutive requests make one call."""

    seconds: float
    lanes: int | None = None
    join: int = 1

    def play(self, engine: Engine, seed: int) -> Block:
        """One block; the same seed walks the pool in the same order."""
        return engine.closed(self.seconds, lanes=self.lanes, join=self.join, seed=seed)


def load_for(scenario: Scenario, longest_s: float = math.inf) -> OpenLoop | ClosedLoop:
    """The load of a scenario's traffic kind (MLPerf's names), in blocks of its duration or of `longest_s`."""
    traffic_, sla = scenario.traffic, scenario.sla
    seconds = min(traffic_.duration_s, max(longest_s, SHORTEST_S))
    seconds = max(seconds, FEWEST_REQUESTS / traffic_.qps) if traffic_.qps else seconds
    if traffic_.kind == "server":
        if traffic_.qps is None or sla is None:
            raise ValueError("server traffic has qps and sla")
        return OpenLoop(traffic_.qps, seconds, max(LEAST_GRACE_S, 2 * sla.limit_ms / 1e3))
    if traffic_.kind == "offline":
        return ClosedLoop(seconds)
    join = traffic_.samples_per_query if traffic_.kind == "multi_stream" else 1
    return ClosedLoop(seconds, lanes=1, join=join)
