"""Service times fitted against the items of a request: what a replica can carry at sizes and limits never asked for.

Each round has its own line, base_s + per_item_s x items; how calls scatter around the lines is pooled. Requests of one
size then are one queue whatever the size: what part of its lanes it carries depends on the limit over the service time
alone, so that one table of replays serves all sizes, limits and rounds. Bursts and batchers have a time scale of their
own: there the middle of the rounds is replayed at each size and limit, and rounds move it by their service times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from bakeoff.backends import Batching
from bakeoff.decide import stamps
from bakeoff.decide.batching import Service, batched_capacity_qps, calls, fit_service
from bakeoff.decide.capacity import FEWEST_SERVICES, capacity_qps
from bakeoff.decide.evidence import Evidence, at_once, pattern_of
from bakeoff.decide.replica import read
from bakeoff.measure.block import Block
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import Scenario
from bakeoff.store.percentile import Floats
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND, BlockRecord

Figure = TypeVar("Figure")
_LIMITS = 1.0 + np.geomspace(0.05, 150.0, 14)
"""Limits over the shortest that an idle replica holds, at which the table of replays has its entries."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How requests wait for a replica, whatever they take."""

    lanes: int
    batching: Batching | None
    dispatch_s: float
    percentile: float
    seed: int
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Curve:
    """One candidate's fitted service.

    `rounds` hold the line of each round and of the screen, `middle` the rounds' together with all `ratios` around.
    `sizes` are the items of the calls that were measured, ascending, and `asked` those of the requests; `misfit` is by
    how much (on a log scale) a measured size lies off the line, beyond chance. `busiest` is the largest share of its
    lanes' time that a block took, `rates` what a replica was asked for in the rounds. `held` is the factor by which
    blocks at nearby rates moved the replay.
    """

    candidate: str
    rounds: Mapping[int, tuple[float, float]]
    middle: Service
    sizes: tuple[int, ...]
    asked: tuple[int, ...]
    misfit: float
    busiest: float
    rates: tuple[float, ...]
    held: float
    cpus: int | None
    queue: Queue

    def seconds(self, items: int, line: tuple[float, float] | None = None) -> float:
        """What a call of so many items takes. By one size alone a smaller one takes as long: nothing says otherwise."""
        base_s, per_item_s = line or (self.middle.base_s, self.middle.per_item_s)
        return base_s + per_item_s * (max(items, self.sizes[0]) if len(self.sizes) == 1 else items)

    def shortest_ms(self, items: int) -> float:
        """The percentile of latency of an idle replica."""
        return 1e3 * (self.queue.dispatch_s + _shortest(self.middle.ratios, self.queue) * self.seconds(items))

    def capacities(self, items: int, limit_ms: float) -> dict[int, float] | None:
        """Requests per second, all of so many items, within the limit by each round; None where a round holds none."""
        by_round = self._scaled if _scale_free(self.queue) else self._moved
        found = {number: qps * self.held for number, qps in by_round(items, limit_ms).items() if qps}
        return found if interleaved(self.rounds).keys() <= found.keys() else None

    def share(self, items: int, qps: float) -> float:
        """The part of its lanes' time that so many requests per second take."""
        return qps * self.seconds(items) / self.queue.lanes

    def measured(self, items: int) -> bool:
        """Whether such a call lies among those measured."""
        return self.sizes[0] <= items <= self.sizes[-1]

    def _scaled(self, items: int, limit_ms: float) -> dict[int, float]:
        loads, queue = _loads(self.middle.ratios, replace(self.queue, dispatch_s=0.0)), self.queue
        shortest = _shortest(self.middle.ratios, queue)
        found = {}
        for number, line in self.rounds.items():
            seconds = self.seconds(items, line)
            limit = (limit_ms / 1e3 - queue.dispatch_s) / seconds / shortest
            load = float(np.interp(math.log(limit), np.log([1.0, *_LIMITS]), [0.0, *loads])) if limit > 1.0 else 0.0
            found[number] = load * queue.lanes / seconds
        return found

    def _moved(self, items: int, limit_ms: float) -> dict[int, float]:
        queue, batching = self.queue, self.queue.batching
        judged = (queue.percentile, limit_ms, queue.seed, queue.pattern)
        if batching is None:
            times = self.seconds(items) * np.array(self.middle.ratios)
            qps = capacity_qps(times, queue.lanes, queue.dispatch_s, *judged)
        else:
            qps = batched_capacity_qps(self.middle, (items,), queue.lanes, batching, queue.dispatch_s, *judged)
        joined = items if batching is None else max(items, batching.most_items)
        middle_s = self.seconds(joined)
        return {number: (qps or 0.0) * middle_s / self.seconds(joined, line) for number, line in self.rounds.items()}


def interleaved(by_round: Mapping[int, Figure]) -> Mapping[int, Figure]:
    """What the interleaved rounds say; the screen's where there was no round."""
    return {number: each for number, each in by_round.items() if number > SCREEN_ROUND} or by_round


def fit(sources: Sequence[Evidence], scenario: Scenario) -> Curve | None:
    """One candidate's curve by the blocks of all `sources`, which are runs of the same workload at other sizes.

    Rounds of one number belong together, so that all sizes share each. None where too few calls were answered.
    """
    entries = [entry for source in sources for entry in source.record.blocks]
    by_round = _rounds(sources)
    lines, scattered = dict[int, tuple[float, float]](), list[tuple[Floats, Floats]]()
    for number, blocks in by_round.items():
        started, done, items = (
            stamps.joined([getattr(block, name) for block in stamps.busy(blocks)])
            for name in ("started_ns", "done_ns", "items")
        )
        sizes, _ = calls(started, done, items)
        if len(sizes) < FEWEST_SERVICES:
            continue
        service = fit_service(started, done, items)
        lines[number] = (service.base_s, service.per_item_s)
        scattered.append((sizes, np.array(service.ratios)))
    if not lines:
        return None
    sizes, ratios = (np.concatenate(each) for each in zip(*scattered, strict=True))
    blocks = [block for each in by_round.values() for block in each]
    base_s, per_item_s = np.mean(list(interleaved(lines).values()), axis=0).tolist()
    record = sources[0].record
    return Curve(
        candidate=record.id,
        rounds=lines,
        middle=Service(base_s, per_item_s, tuple(ratios.tolist())),
        sizes=tuple(np.unique(sizes).astype(int).tolist()),
        asked=tuple(np.unique(stamps.joined([block.items for block in blocks])).tolist()),
        misfit=_misfit(sizes, ratios),
        busiest=_busiest(entries, at_once(record, scenario)),
        rates=tuple(sorted({block.offered_qps for block in blocks if block.offered_qps})),
        held=sources[0].held,
        cpus=sources[0].cpus,
        queue=_queue(sources[0], blocks, scenario),
    )


def _rounds(sources: Sequence[Evidence]) -> dict[int, list[Block]]:
    numbers = set.intersection(*({entry.round for entry in source.record.blocks} for source in sources))
    return {
        number: [entry.block for source in sources for entry in source.record.blocks if entry.round == number]
        for number in sorted(numbers - {CAPACITY_ROUND})
    }


def _queue(source: Evidence, blocks: Sequence[Block], scenario: Scenario) -> Queue:
    setting, sla = source.record.candidate.setting, scenario.sla
    replica = read(blocks, setting, at_once(source.record, scenario))
    return Queue(
        lanes=replica.lanes,
        batching=setting.batching,
        dispatch_s=replica.dispatch_s,
        percentile=sla.percentile if sla else 99.0,
        seed=scenario.seed,
        pattern=pattern_of(blocks, scenario),
    )


def _misfit(sizes: Floats, ratios: Floats) -> float:
    """The largest deviation of a size's mean from the line, less two of its standard errors."""
    worst = 0.0
    for size in np.unique(sizes):
        those = ratios[sizes == size]
        if len(those) >= FEWEST_SERVICES:
            error = float(those.std(ddof=1)) / math.sqrt(len(those))
            worst = max(worst, abs(float(those.mean()) - 1.0) - 2.0 * error)
    return math.log1p(worst)


def _busiest(entries: Iterable[BlockRecord], lanes: int) -> float:
    """The largest share of the lanes' time that an open-loop block took."""
    shares = [0.0]
    for block in (entry.block for entry in entries):
        if block.kind == "open" and block.wall_ns:
            _, seconds = calls(block.started_ns, block.done_ns, block.items)
            shares.append(float(seconds.sum()) * stamps.S / block.wall_ns / lanes)
    return max(shares)


def _scale_free(queue: Queue) -> bool:
    return queue.batching is None and queue.pattern.kind in ("poisson", "constant")


def _shortest(ratios: tuple[float, ...], queue: Queue) -> float:
    """The percentile of the service itself over its mean."""
    return float(np.quantile(ratios, queue.percentile / 100.0, method="higher"))


@lru_cache(maxsize=64)
def _loads(ratios: tuple[float, ...], queue: Queue) -> tuple[float, ...]:
    """The part of its lanes' time that a service of a second can be loaded with, at each of the limits."""
    services, shortest = np.array(ratios), _shortest(ratios, queue)
    found = [
        capacity_qps(services, queue.lanes, 0.0, queue.percentile, 1e3 * shortest * limit, queue.seed, queue.pattern)
        for limit in _LIMITS.tolist()
    ]
    return tuple((qps or 0.0) / queue.lanes for qps in found)
