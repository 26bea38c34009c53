"""What a generator reports of a block, beside what was true.

The truth is the queue's own recursion (Lindley) over the actual schedule and the measured service times: what each
request had to wait, had the generator and the way to the engine taken no time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bakeoff.decide.capacity import sojourns_s
from bakeoff.measure.block import Block, Int64
from bakeoff.measure.traffic import mean_qps
from bakeoff.selftest.loadgen_side import SEEN
from bakeoff.store.percentile import Floats

PERCENTILES = (50.0, 99.0)
_SAMPLE = re.compile(r'"name":"Sample".*?"ts":([0-9.]+),"args":\{"sample_seq":([0-9]+),.*?"issue_start_ns":(-?[0-9]+),')


@dataclass(frozen=True, slots=True)
class Reading:
    """One block: reported and true percentiles, how late requests were issued, and the rate that was offered."""

    p50_ms: float
    p99_ms: float
    true_p50_ms: float
    true_p99_ms: float
    lateness_p50_us: float
    lateness_p99_us: float
    asked_qps: float
    offered_qps: float
    realtime: bool

    @property
    def p50_error_us(self) -> float:
        """How far the reported p50 is from the truth."""
        return abs(self.p50_ms - self.true_p50_ms) * 1e3

    @property
    def p99_error_us(self) -> float:
        """How far the reported p99 is from the truth."""
        return abs(self.p99_ms - self.true_p99_ms) * 1e3

    @property
    def offered_error(self) -> float:
        """How far the offered rate is from the asked one, as a fraction."""
        return abs(self.offered_qps / self.asked_qps - 1)


def ours(block: Block, asked_qps: float) -> Reading:
    """What bakeoff reports of an open block in which every request was answered, by its nearest-rank percentiles."""
    p50_ms, p99_ms = _nearest_rank(block.latency_ms())
    true_p50_ms, true_p99_ms = _nearest_rank(_true_ms(block.scheduled_ns, block.done_ns - block.started_ns))
    late_p50_ms, late_p99_ms = _nearest_rank(block.lateness_ms())
    return Reading(
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        true_p50_ms=true_p50_ms,
        true_p99_ms=true_p99_ms,
        lateness_p50_us=late_p50_ms * 1e3,
        lateness_p99_us=late_p99_ms * 1e3,
        asked_qps=asked_qps,
        offered_qps=mean_qps(block.scheduled_ns),
        realtime=bool(block.facts["generator_realtime"]),
    )


def loadgens(logs: Path, service_ns: Int64, asked_qps: float) -> Reading:
    """What LoadGen reports in its summary; schedule and lateness are those of its trace, percentiles by its formula.

    `service_ns` are the worker's own stamps, in the order of the requests.
    """
    scheduled_ns, late_ns = _traced(logs / "mlperf_log_trace.json")
    summary = (logs / "mlperf_log_summary.txt").read_text()
    true_p50_ms, true_p99_ms = _loadgens_rank(_true_ms(scheduled_ns, service_ns))
    late_p50_ns, late_p99_ns = _loadgens_rank(late_ns.astype(np.float64))
    return Reading(
        p50_ms=_reported_ms(summary, 50.0),
        p99_ms=_reported_ms(summary, 99.0),
        true_p50_ms=true_p50_ms,
        true_p99_ms=true_p99_ms,
        lateness_p50_us=late_p50_ns / 1e3,
        lateness_p99_us=late_p99_ns / 1e3,
        asked_qps=asked_qps,
        offered_qps=mean_qps(scheduled_ns),
        realtime=bool(json.loads((logs / SEEN).read_text())["realtime"]),
    )


def _true_ms(scheduled_ns: Int64, service_ns: Int64) -> Floats:
    return sojourns_s(scheduled_ns / 1e9, service_ns / 1e9, lanes=1) * 1e3


def _percentiles(values: Floats, rank: Callable[[int, float], int]) -> tuple[float, float]:
    ordered = np.sort(values)
    p50, p99 = (float(ordered[rank(len(ordered), percentile / 100)]) for percentile in PERCENTILES)
    return p50, p99


def _nearest_rank(values: Floats) -> tuple[float, float]:
    return _percentiles(values, lambda count, share: max(0, int(np.ceil(count * share)) - 1))


def _loadgens_rank(values: Floats) -> tuple[float, float]:
    return _percentiles(values, lambda count, share: int(count * share))


def _traced(trace: Path) -> tuple[Int64, Int64]:
    """Scheduled moments (ns from the first on) and the lateness of issue (ns), in the order of the requests."""
    found = sorted((int(number), float(us), int(late)) for us, number, late in _SAMPLE.findall(trace.read_text()))
    scheduled_ns = np.array([round(us * 1e3) for _, us, _ in found], np.int64)
    return scheduled_ns - scheduled_ns[0], np.array([late for *_, late in found], np.int64)


def _reported_ms(summary: str, percentile: float) -> float:
    found = re.search(rf"^{percentile:.2f} percentile latency \(ns\) *: ([0-9]+)$", summary, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {percentile:g}th percentile in LoadGen's summary")
    return int(found[1]) / 1e6
