"""Proofs on simulated engines, whose truth is known exactly: the test of the SLA, and intervals."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np

from bakeoff.decide.sla import judge_sla, percentile_ms
from bakeoff.measure.block import Block
from proofs.proof import Proof
from proofs.queues import SERVICES, Service, block, latencies_s

RHO = 0.7
PERCENTILE = 99.0
KINDS = ("M/E4/1", "M/M/1", "M/H2/1")
ENGINES, LOOKS, LOOK_REQUESTS = 200, 24, 1000
MOST_WRONG = 0.02
RUNS, RUN_REQUESTS, RUN_BLOCKS = 300, 40_000, 10
LEAST_COVERED = 0.90


def borderline(engines: int = ENGINES, looks: int = LOOKS, seed: int = 1) -> Proof:
    """Engines exactly at their limit, judged after each block until they pass or fail."""
    rng = np.random.default_rng(seed)
    kinds = list(islice(cycle(KINDS), engines))
    outcomes = [_outcome(SERVICES[kind], looks, rng) for kind in kinds]
    passed, failed = (outcomes.count(outcome) for outcome in ("pass", "fail"))
    return Proof(
        f"of {engines} simulated engines whose true exceedance is exactly the limit (rho {RHO:g}; {', '.join(KINDS)};"
        f" a look after each of {looks} blocks), those that pass",
        f"at most {MOST_WRONG:.0%}",
        f"{passed} ({passed / engines:.1%}); {failed} fail",
        passed <= MOST_WRONG * engines,
        {"engines": engines, "passed": passed, "failed": failed},
    )


def _outcome(service: Service, looks: int, rng: np.random.Generator) -> str:
    limit_ms = service.latency_s(RHO, PERCENTILE)
    blocks: list[Block] = []
    for _ in range(looks):
        blocks.append(block(service, RHO, LOOK_REQUESTS, rng))
        found = judge_sla(blocks, PERCENTILE, limit_ms, 0.001)
        if found.outcome != "undecided":
            return found.outcome
    return "undecided"


def coverage(runs: int = RUNS, requests: int = RUN_REQUESTS, seed: int = 2) -> Proof:
    """How often the 95 % interval of p99 holds the true one."""
    rng = np.random.default_rng(seed)
    kinds = list(islice(cycle(KINDS), runs))
    covered = dict.fromkeys(KINDS, 0)
    for kind in kinds:
        covered[kind] += _covers(SERVICES[kind], requests, rng)
    share = sum(covered.values()) / runs
    return Proof(
        f"of {runs} simulated M/G/1 runs of {requests:,} requests at rho {RHO:g}, those whose 95 % interval for p99"
        " holds the truth",
        f"at least {LEAST_COVERED:.0%}",
        f"{share:.1%} ({', '.join(f'{kind} {covered[kind] / kinds.count(kind):.0%}' for kind in KINDS)})",
        share >= LEAST_COVERED,
        {"runs": runs, **covered},
    )


def _covers(service: Service, requests: int, rng: np.random.Generator) -> bool:
    parts = [latencies_s(service, RHO, requests // RUN_BLOCKS, rng)[2] for _ in range(RUN_BLOCKS)]
    found = percentile_ms(parts, PERCENTILE)
    truth = service.latency_s(RHO, PERCENTILE)
    return found.low is not None and found.high is not None and found.low <= truth <= found.high
