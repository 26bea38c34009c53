"""The load that a scenario's traffic puts on an engine: open loop at a rate, or closed loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from bakeoff.candidates import Candidate
from bakeoff.decide.capacity import FEWEST_SERVICES, made_up
from bakeoff.decide.sla import requests_needed
from bakeoff.measure import traffic
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import Scenario, Trace, Traffic
from bakeoff.scenario.traffic import FEWEST_REQUESTS

LEAST_GRACE_S = 0.5
SPRINT_S = 0.5
LEGS = 10
"""The parts of a sprint, one candidate's after another's: what the machine does for some tenths of a second then hits
all alike, and no one's sprint alone (docs/measurement.md: how that steadies comparisons)."""
SHORTEST_S = 1.0
"""A budget shortens blocks down to this. A screen is never shorter: one such block may be all that a candidate gets."""
ROOM = 1.5
"""Requests of a probe, beside the fewest that its test takes."""
LONGEST_PROBE = 4
"""A probe may last so many times a block, and at a low rate takes several."""


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Arrivals of a pattern at `qps`; after the last one, answers are awaited for `grace_s`."""

    pattern: Pattern
    qps: float
    seconds: float
    grace_s: float

    def play(self, engine: Engine, seed: int) -> Block:
        """One block; the same seed gives every candidate the same arrivals."""
        due = traffic.schedule(self.pattern, self.qps, self.seconds, seed)
        return engine.open(due.arrivals_ns, self.grace_s, seed, offered_qps=self.qps, items=due.items)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each lane sends its next request when the last is answered; `join` consecutive requests make one call."""

    seconds: float
    lanes: int | None = None
    join: int = 1
    fewest: int = 0
    """Requests for which a slow engine gets more time."""

    def play(self, engine: Engine, seed: int) -> Block:
        """One block; the same seed walks the pool in the same order."""
        needed_s = self.fewest * float(engine.loaded.details["service_ns"]) / 1e9 / engine.lanes
        return engine.closed(max(self.seconds, needed_s), lanes=self.lanes, join=self.join, seed=seed)

    @property
    def leg(self) -> Self:
        """One of its LEGS parts."""
        return replace(self, seconds=self.seconds / LEGS, fewest=math.ceil(self.fewest / LEGS))


def load_for(scenario: Scenario, longest_s: float = math.inf, qps: float | None = None) -> OpenLoop | ClosedLoop:
    """The load of a scenario's traffic kind, in blocks of its duration or of `longest_s`.

    Open-loop traffic comes at `qps` where that is given, else at its own rate. Where it has none (`qps: max`), it is a
    closed loop on all lanes, whose service times say where to look. Raises UserError where a trace has changed.
    """
    asked, sla = scenario.traffic, scenario.sla
    seconds = min(asked.duration_s, max(longest_s, SHORTEST_S))
    if not asked.open_loop:
        join = asked.samples_per_query if asked.kind == "multi_stream" else 1
        return ClosedLoop(seconds, lanes=None if asked.kind == "offline" else 1, join=join)
    rate = asked.rate if qps is None else qps
    if rate is None:
        return ClosedLoop(seconds, fewest=FEWEST_REQUESTS)
    if sla is None:
        raise ValueError("open-loop traffic has an sla")
    seconds = max(seconds, FEWEST_REQUESTS / rate, asked.shortest_s)
    return OpenLoop(pattern_of(asked), rate, seconds, max(LEAST_GRACE_S, 2 * sla.limit_ms / 1e3))


def screening_loads(
    load: OpenLoop | ClosedLoop, scenario: Scenario, candidate: Candidate
) -> list[OpenLoop | ClosedLoop]:
    """What a candidate is screened with."""
    load = replace(load, seconds=max(load.seconds, SHORTEST_S))
    return [load, *beside(load, scenario, candidate)]


def beside(load: OpenLoop | ClosedLoop, scenario: Scenario, candidate: Candidate) -> list[ClosedLoop]:
    """The closed loops that go with a block: with one of live traffic a sprint, since calls between which the machine
    idles scatter ten times as much as those of a busy replica; where it has a batcher, one of joined calls, too.

    A server elsewhere has none: what its connections wait for each other is no service.
    """
    if candidate.remote:
        return []
    alone = [ClosedLoop(SPRINT_S, fewest=FEWEST_SERVICES)] if isinstance(load, OpenLoop) else []
    batching, single = candidate.setting.batching, alone[0] if alone else load
    if batching is None or not isinstance(single, ClosedLoop):
        return alone
    return [*alone, replace(single, join=max(2, int(batching.most_items / scenario.traffic.mean_items)))]


def probing_load(scenario: Scenario, qps: float, seconds: float) -> OpenLoop:
    """The scenario's arrivals at another rate, in blocks that can pass at once where no request is over the limit, if
    four of `seconds` are enough for that."""
    load = load_for(scenario, seconds, qps)
    if not isinstance(load, OpenLoop) or scenario.sla is None:
        raise ValueError("only open-loop traffic comes at a rate")
    needed = requests_needed(0.0, 1.0 - scenario.sla.percentile / 100.0) or 0.0
    return replace(load, seconds=max(load.seconds, min(ROOM * needed / qps, LONGEST_PROBE * seconds)))


def pattern_of(asked: Traffic) -> Pattern:
    """How the requests of open-loop traffic come; raises UserError where a trace is not any more what it was."""
    return made_up(asked) if asked.trace is None else _replay(asked.trace)


@lru_cache(maxsize=8)
def _replay(trace: Trace) -> Pattern:
    found = trace.read()
    return traffic.recorded(found.times_s, found.items)
