"""What the search for a capacity accepts on simulated servers whose capacity theory knows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from bakeoff.contest.load import probing_load
from bakeoff.decide.search import Bracket, find
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario, from_dict, restore
from proofs.proof import Proof
from proofs.queues import SERVICES, Service, block

KINDS = tuple(SERVICES)
SEARCHES = 1000
SERVICE_S, BLOCK_S = 1e-3, 2.0
RHOS = (0.5, 0.85)
"""The limit is the true p99 at a load between these, which is then the capacity."""
LIKELY = (0.7, 1.4)
"""Where a search begins, as a share of the true capacity."""
MOST_WRONG = 0.01


def accepts(searches: int = SEARCHES, seed: int = 5) -> Proof:
    """How many searches end at a rate that the server cannot hold."""
    found = list(_searches(searches, np.random.default_rng(seed)))
    passed = [bracket.passed_qps / truth for bracket, truth in found if bracket.passed_qps]
    failed = [bracket.failed_qps / truth for bracket, truth in found if bracket.failed_qps]
    wrong, refused = sum(share > 1.0 for share in passed), sum(share < 1.0 for share in failed)
    most, median = max(passed, default=math.nan), statistics.median(passed or [math.nan])
    return Proof(
        f"of {searches} searches for the capacity of simulated servers ({', '.join(KINDS)}), those that accept a rate"
        " above the true one",
        f"at most {MOST_WRONG:.0%}",
        f"{wrong} ({wrong / searches:.1%}); accepted is {most:.2f} of the true capacity at most, {median:.2f} in the"
        f" median; {refused} refuse a rate below it",
        bool(passed) and wrong <= MOST_WRONG * searches,
        {"searches": searches, "accepted": len(passed), "wrong": wrong, "refused": refused},
    )


def _searches(count: int, rng: np.random.Generator) -> Iterator[tuple[Bracket, float]]:
    """Each search's bracket, and the true capacity in requests/s."""
    for kind in islice(cycle(KINDS), count):
        service, rho = SERVICES[kind], float(rng.uniform(*RHOS))
        truth_qps = rho / SERVICE_S
        yield _search(service, _scenario(service, rho), truth_qps * float(rng.uniform(*LIKELY)), rng), truth_qps


def _search(service: Service, scenario: Scenario, likely_qps: float, rng: np.random.Generator) -> Bracket:
    def play(qps: float) -> Block:
        requests = round(qps * probing_load(scenario, qps, BLOCK_S).seconds)
        return replace(block(service, qps * SERVICE_S, requests, rng, SERVICE_S, warm_up=0), offered_qps=qps)

    if scenario.sla is None:
        raise ValueError("live traffic has an sla")
    return find(play, likely_qps, scenario.sla).bracket


def _scenario(service: Service, rho: float) -> Scenario:
    traffic = {"kind": "server", "qps": rho / SERVICE_S, "batch_size": 1}
    asked = from_dict({"name": "simulated", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "20ms"}})
    limit_ms = service.latency_s(rho, 99.0) * SERVICE_S * 1e3
    return restore(asked.definition() | {"sla": {"percentile": 99.0, "limit_ms": limit_ms, "error_rate": 0.001}})
