"""Whether the load that is offered is the load that was asked for, in the schedule and as it was really sent."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from bakeoff.measure.block import Int64
from bakeoff.measure.engine_room import Engine
from bakeoff.measure.traffic import Pattern, arrivals, recorded
from proofs.echo import echo_order
from proofs.proof import Proof

WITHIN = 0.001
RATES_QPS = (100.0, 1000.0, 7777.0)
SECONDS, SEEDS = 10.0, 5
PLAYED_QPS, PLAYED_S, PLAYS = 1000.0, 10.0, 3


def patterns() -> dict[str, Pattern]:
    """One of each; the trace is of 10,000 requests with gaps of very different lengths, replayed as a whole."""
    gaps_s = np.random.default_rng(3).lognormal(sigma=1.5, size=10_000)
    return {
        "poisson": Pattern("poisson"),
        "constant": Pattern("constant"),
        "burst": Pattern("burst", peak=3.0, share=0.2, length_s=0.5),
        "trace": recorded(np.cumsum(gaps_s) - gaps_s[0]),
    }


def rate() -> Proof:
    """The largest relative difference between the rate offered and the rate asked for."""
    planned = {kind: max(_planned_errors(kind, pattern)) for kind, pattern in patterns().items()}
    with tempfile.TemporaryDirectory(prefix="bakeoff-proof-") as folder, _engine(Path(folder)) as engine:
        sent = {kind: _sent_error(engine, pattern) for kind, pattern in patterns().items()}
    worst_planned, worst_sent = max(planned.values()), max(sent.values())
    return Proof(
        f"the rate offered against the rate asked for ({', '.join(planned)})",
        f"within {WITHIN:.1%}",
        f"{worst_planned:.4%} off in the schedules, {worst_sent:.4%} off as sent",
        max(worst_planned, worst_sent) <= WITHIN,
        {f"{kind}_planned": error for kind, error in planned.items()}
        | {f"{kind}_sent": error for kind, error in sent.items()},
    )


def _engine(folder: Path) -> Engine:
    return Engine.start(echo_order(folder), 60.0)


def _planned_errors(kind: str, pattern: Pattern) -> list[float]:
    """Over rates and seeds. A trace's rate is that of the whole of it."""
    lengths_s = {qps: 10_000 / qps if kind == "trace" else SECONDS for qps in RATES_QPS}
    return [
        _error(arrivals(pattern, qps, seconds, seed), qps, seconds)
        for qps, seconds in lengths_s.items()
        for seed in range(SEEDS)
    ]


def _error(moments_ns: Int64, qps: float, seconds: float) -> float:
    """Requests that fall into the time asked for, over that time, against the rate asked for."""
    inside = np.count_nonzero((moments_ns >= 0) & (moments_ns < seconds * 1e9))
    return float(abs(inside / seconds / qps - 1.0))


def _sent_error(engine: Engine, pattern: Pattern) -> float:
    """The median of a few blocks as the generator sent them; how late the last request went makes its time longer."""
    errors = []
    for seed in range(PLAYS):
        block = engine.open(arrivals(pattern, PLAYED_QPS, PLAYED_S, seed), 5.0, seed, offered_qps=PLAYED_QPS)
        late_s = float(block.sent_ns[-1] - block.scheduled_ns[-1]) / 1e9
        errors.append(abs(len(block) / (PLAYED_S + late_s) / PLAYED_QPS - 1.0))
    return median(errors)
