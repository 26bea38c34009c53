"""One replica as a queue is replayed with it: its lanes, what calls took on them, and what the pipe costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bakeoff.backends import Batching, Setting
from bakeoff.decide import stamps
from bakeoff.decide.batching import (
    Service,
    batched_capacity_qps,
    batched_dispatch_s,
    batched_sojourns_s,
    fit_service,
)
from bakeoff.decide.capacity import Numbers, capacity_qps, drawn, sojourns_s
from bakeoff.measure.block import Block
from bakeoff.measure.traffic import Pattern
from bakeoff.scenario import Sla
from bakeoff.store.percentile import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Alone:
    """It serves each request by itself; `services_s` are the measured times, in order."""

    lanes: int
    dispatch_s: float
    services_s: Floats

    @property
    def saturation_qps(self) -> float:
        """The rate that all lanes together can just serve."""
        return self.lanes / float(self.services_s.mean())

    def capacity_qps(self, sla: Sla, seed: int, pattern: Pattern) -> float | None:
        """The highest rate within the SLA; None where there is none, or too few services to say."""
        return capacity_qps(self.services_s, self.lanes, self.dispatch_s, sla.percentile, sla.limit_ms, seed, pattern)

    def latencies_s(self, arrivals_s: Floats, rng: np.random.Generator) -> Floats:
        """From each arrival (ascending) to its answer."""
        services_s = drawn(self.services_s, len(arrivals_s), rng)
        return sojourns_s(arrivals_s, services_s, self.lanes) + self.dispatch_s

    def utilisation(self, qps: float, arrivals_s: Floats, latencies_s: Floats) -> float:
        """The share of the lanes' time in which they work, of a stream at `qps`."""
        return qps / self.saturation_qps


@dataclass(frozen=True, slots=True, eq=False)
class Batched:
    """It joins requests into calls, which take what `service` says; requests score `items`, in the order measured."""

    lanes: int
    dispatch_s: float
    service: Service
    items: Numbers
    batching: Batching

    @property
    def saturation_qps(self) -> float:
        """The rate that all lanes together can just serve in full batches."""
        mean_items = float(self.items.mean())
        full = max(1.0, self.batching.most_items / mean_items)
        return self.lanes / (self.service.base_s / full + self.service.per_item_s * mean_items)

    def capacity_qps(self, sla: Sla, seed: int, pattern: Pattern) -> float | None:
        """The highest rate within the SLA; None where there is none."""
        return batched_capacity_qps(
            self.service,
            tuple(self.items.tolist()),
            self.lanes,
            self.batching,
            self.dispatch_s,
            sla.percentile,
            sla.limit_ms,
            seed,
            pattern,
        )

    def latencies_s(self, arrivals_s: Floats, rng: np.random.Generator) -> Floats:
        """From each arrival (ascending) to its answer."""
        count = len(arrivals_s)
        service = replace(self.service, ratios=tuple(drawn(np.array(self.service.ratios), count, rng).tolist()))
        items = drawn(self.items, count, rng)
        return batched_sojourns_s(arrivals_s, items, service, self.lanes, self.batching) + self.dispatch_s

    def utilisation(self, qps: float, arrivals_s: Floats, latencies_s: Floats) -> float:
        """The share of the lanes' time in which they work: requests that are done at one moment were one call."""
        done_s, mean_items = arrivals_s + latencies_s, float(self.items.mean())
        calls = len(np.unique(np.rint(done_s * stamps.S)))
        busy_s = self.service.base_s * calls + self.service.per_item_s * mean_items * len(done_s)
        return float(busy_s / (done_s.max() - arrivals_s[0]) / self.lanes)


Replica = Alone | Batched


def read(blocks: Sequence[Block], setting: Setting, lanes: int) -> Replica:
    """What these blocks of one candidate say. Where there are closed loops among them, these say what calls take: it is
    full replicas that are replayed. Raises ValueError where a batcher's hold no answer."""
    batching = setting.batching
    if batching is None:
        dispatch_s = float(np.median([stamps.dispatch_s(block, setting.instances) for block in blocks]))
        return Alone(lanes, dispatch_s, _services_s(blocks))
    blocks = stamps.busy(blocks)
    started, done, items = (
        stamps.joined([getattr(block, name) for block in blocks]) for name in ("started_ns", "done_ns", "items")
    )
    dispatch_s = float(np.median([batched_dispatch_s(block, batching) for block in blocks]))
    sizes = min(blocks, key=stamps.mean_items).items
    return Batched(lanes, dispatch_s, fit_service(started, done, items), sizes, batching)


def _services_s(blocks: Sequence[Block]) -> Floats:
    """What calls took in all blocks, on the level of the closed loops: a hiccup is a smaller part of more calls."""
    live, closed = (
        stamps.joined([stamps.service_s(block) for block in blocks if block.kind == kind])
        for kind in ("open", "closed")
    )
    level = closed.mean() / live.mean() if len(live) and len(closed) else 1.0
    return np.concatenate([closed, live * level])
