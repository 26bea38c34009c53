"""Capacity found by the tool on simulated servers whose capacity theory knows: M/D/1 and M/M/1."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.contest.load import probing_load
from bakeoff.decide.evidence import likely_capacity
from bakeoff.decide.search import find
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario, from_dict, restore
from bakeoff.store.record import CAPACITY_ROUND, SCREEN_ROUND, BlockRecord, CandidateRecord
from proofs.proof import Proof
from proofs.queues import SERVICES, Service, block

KINDS = ("M/D/1", "M/M/1")
RUNS = 10
SERVICE_S = 1e-3
BLOCK_S = 4.0
RHO = 0.7
"""The load at which the limit is the true p99, so that this is the capacity."""
ROUNDS, BLOCKS_A_ROUND = 8, 2
WITHIN = 0.05


def capacity(runs: int = RUNS, seed: int = 4) -> Proof:
    """The largest error of the capacity, over several runs of both; the load asked for is 0.4 to 0.9 of it."""
    rng = np.random.default_rng(seed)
    errors = {kind: [_found_qps(SERVICES[kind], rng) / (RHO / SERVICE_S) - 1.0 for _ in range(runs)] for kind in KINDS}
    worst = max(abs(error) for found in errors.values() for error in found)
    shown = (f"{kind} {statistics.median(map(abs, found)):.1%}" for kind, found in errors.items())
    return Proof(
        f"capacity of simulated {' and '.join(KINDS)} servers, against theory ({runs} runs of {ROUNDS} rounds each)",
        f"within {WITHIN:.0%}",
        f"{worst:.1%} off at most (median {', '.join(shown)})",
        worst <= WITHIN,
        {
            f"{kind}_{name}": pick(found)
            for kind, found in errors.items()
            for name, pick in (("min", min), ("max", max))
        },
    )


def _found_qps(service: Service, rng: np.random.Generator) -> float:
    """What a run would say: screened, bracketed, and measured in rounds, as a trial does; blocks begin idle."""
    asked_qps = float(rng.uniform(0.4, 0.9)) * RHO / SERVICE_S
    scenario = _scenario(service, asked_qps, int(rng.integers(2**31)))
    kept: list[BlockRecord] = []

    def play(qps: float, number: int, seconds: float = BLOCK_S) -> Block:
        played = block(service, qps * SERVICE_S, round(qps * seconds), rng, SERVICE_S, warm_up=0)
        played = replace(played, offered_qps=qps)
        kept.append(BlockRecord(number, len(kept), lambda: played))
        return played

    screen = play(asked_qps, SCREEN_ROUND)
    if scenario.sla is not None:
        find(
            lambda qps: play(qps, CAPACITY_ROUND, probing_load(scenario, qps, BLOCK_S).seconds),
            _capacity_qps(kept, scenario),
            scenario.sla,
            [screen],
        )
    for number in range(1, ROUNDS + 1):
        for _ in range(BLOCKS_A_ROUND):
            play(asked_qps, number)
    return _capacity_qps(kept, scenario)


def _capacity_qps(kept: list[BlockRecord], scenario: Scenario) -> float:
    found = likely_capacity(
        CandidateRecord(Candidate("simulated", "fp32", Setting("1x1")), blocks=tuple(kept)), scenario
    )
    if found is None:
        raise ValueError("its blocks say nothing of its capacity")
    return found


def _scenario(service: Service, qps: float, seed: int) -> Scenario:
    traffic = {"kind": "server", "qps": qps, "batch_size": 1}
    asked = from_dict({"name": "simulated", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "20ms"}})
    sla = {"percentile": 99.0, "limit_ms": service.latency_s(RHO, 99.0) * SERVICE_S * 1e3, "error_rate": 0.001}
    return restore(asked.definition() | {"sla": sla, "seed": seed})
