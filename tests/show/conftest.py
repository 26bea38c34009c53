"""Verdicts as `decide` gives them: one of every kind, with figures a small machine would show, and hostile names."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.judgement import Judgement, Leaderboard, Verdict
from bakeoff.measure.block import Block
from bakeoff.store.record import BlockRecord, CandidateRecord, Quality, RunRecord, ScenarioRecord

HOSTILE = "<script>alert('x')</script> & \"quoted\" $\\frac{1}{0}$ [red]markup[/red] \x1b[31m\x00 | pipe ` tick"
LONG = "the engine gave up after a very long explanation of what it did not like about this model; " * 12


def auc(delta, low, high):
    return Quality("auc", 0.6812 + delta, 0.6812, delta, low, high, 200_000)


def judgement(candidate, **figures):
    backend, precision, setting, *rest = candidate.split("/")
    instances, _, threads = setting.partition("x")
    return Judgement(
        candidate=candidate,
        backend=backend,
        precision=precision,
        setting=setting,
        variant=rest[0] if rest else "base",
        device="cpu",
        **{
            "stage": "serve",
            "outcome": "ok",
            "settings": {"threads": int(threads or 1), "instances": int(instances), "graph_optimization": "all"},
            "reproduce": f"bakeoff run scenarios/ctr-ranking.yaml --candidate {candidate}",
            "offered_qps": 300.0,
            "requests": 9_400,
            "rounds": 6,
            **figures,
        },
    )


def measured(candidate, p99_ms, capacity, cost, rank=None, **more):
    return judgement(
        candidate,
        **{
            "p50_ms": p99_ms * 0.42,
            "p99_ms": p99_ms,
            "p99_low_ms": p99_ms * 0.93,
            "p99_high_ms": p99_ms * 1.09,
            "capacity_qps": capacity,
            "capacity_low_qps": capacity * 0.96,
            "capacity_high_qps": capacity * 1.03,
            "cpu_ms_per_request": 2_000 / capacity * 0.8,
            "items_per_s": capacity * 256,
            "cost": cost,
            "cost_low": cost * 0.96,
            "cost_high": cost * 1.05,
            "replicas": math.ceil(1.2 * 20_000 / capacity) + 1,
            "cost_per_million_requests": cost * 256,
            "hourly_cost": cost * 4.68,
            "yearly_cost": cost * 41_000,
            "memory_bytes": 212e6,
            "load_s": 0.41,
            "build_s": 3.2,
            "artifact_bytes": 37_400_000,
            "quality": {"auc": auc(-0.00004, -0.0001, 0.00003)},
            "rank": rank,
            **more,
        },
    )


CHOICE = measured(
    "openvino/int8/2x1", 11.8, 612.0, 0.0912, 1, quality={"auc": auc(-0.00061, -0.00092, -0.0003)}, reason=""
)
RANKED = (
    CHOICE,
    measured(
        "onnxruntime/int8-dynamic/2x1",
        13.4,
        571.0,
        0.0978,
        2,
        quality={"auc": auc(-0.0008, -0.0012, -0.0004)},
        reason="7.2 % dearer than the choice",
    ),
    measured("openvino/fp32/2x1", 14.9, 498.0, 0.112, 3, reason="23 % dearer than the choice"),
    measured("openvino/bf16/1x2", 12.6, 471.0, 0.1185, 4, reason="30 % dearer than the choice"),
    measured(
        "onnxruntime/fp32/1x2",
        15.1,
        431.0,
        0.1295,
        5,
        reason="42 % dearer than the choice",
        trusted=False,
        trust_notes=("used 2.3 of 2 cores in 1 of 6 blocks",),
    ),
    measured("torch-compile/fp32/1x2", 17.2, 388.0, 0.144, 6, reason="58 % dearer than the choice"),
    measured("onnxruntime/fp32/2x1", 16.4, 402.0, 0.1388, 7, reason="52 % dearer than the choice"),
)
REST = (
    measured(
        "torch/fp32/2x1", 24.6, 251.0, 0.222, outcome="sla-missed", reason="p99 24.6 ms is over 20 ms at 300 requests/s"
    ),
    measured(
        "torch/fp32/1x2", 34.7, 214.0, 0.261, outcome="sla-missed", reason="p99 34.7 ms is over 20 ms at 300 requests/s"
    ),
    measured(
        "torch/int8-dynamic/1x2",
        412.0,
        96.0,
        0.58,
        outcome="sla-missed",
        reason="cannot carry 300 requests/s: the queue grows without end",
    ),
    measured(
        "onnxruntime/int8-static/2x1",
        12.1,
        601.0,
        0.093,
        outcome="quality-missed",
        stage="quality",
        quality={"auc": auc(-0.0041, -0.0052, -0.003)},
        reason="auc falls by 0.0041, the floor allows 0.002",
    ),
    judgement(
        "openvino/fp32/1x2",
        stage="screen",
        outcome="eliminated",
        reason="its best case is 21 % dearer than the choice",
        p99_ms=15.8,
        p50_ms=7.0,
        requests=840,
        rounds=1,
    ),
    judgement(
        "torch-compile/bf16/1x2",
        stage="build",
        outcome="timeout",
        reason="building took longer than 90 s",
        requests=0,
        rounds=0,
    ),
    judgement(
        "stranger/fp32/1x1",
        stage="serve",
        outcome="crashed",
        reason="the worker died with signal 11 (SIGSEGV)",
        requests=0,
        rounds=0,
    ),
    judgement(
        "tvm/fp32/1x1",
        stage="probe",
        outcome="unavailable",
        reason="apache-tvm is not installed: pip install apache-tvm",
        requests=0,
        rounds=0,
    ),
)
WIN = Verdict(
    scenario="ctr-ranking",
    kind="server",
    description="Rank 256 candidate items for one shopper before the page is drawn",
    verdict="WIN",
    provisional=False,
    choice=CHOICE,
    leader=CHOICE,
    nearest=None,
    incumbent=RANKED[4],
    production=None,
    answer="SWITCH",
    set=("openvino/int8/2x1",),
    candidates=(*RANKED, *REST),
    headline="Switch from onnxruntime/fp32/1x2 to openvino/int8/2x1: 29.6 % cheaper (1,570 USD a year), "
    "with p99 11.8 ms of 20 ms and auc within its floor.",
    reasons=("The choice is separated from every other candidate in 6 of 6 rounds.",),
    cost_unit="USD per million items",
    currency="USD",
    regret_high=0.021,
    margin=0.067,
    more_needed_s=None,
    leaderboard=Leaderboard(
        "openvino/bf16/1x2", 3.1, "It would have cost 30 % more: 4,860 USD a year instead of 3,740 USD."
    ),
    sla={"percentile": 99.0, "limit_ms": 20.0, "error_rate": 0.001},
    objective="cost",
    score_unit="USD per million items",
    fleet={"headroom": 0.2, "spare": 1},
    traffic={
        "kind": "server",
        "qps": 300.0,
        "rate": 300.0,
        "open_loop": True,
        "fleet_qps": 20_000.0,
        "batch_size": [[256, 1.0]],
        "mean_items": 256.0,
        "duration_s": 4.0,
    },
    floors={"auc": {"amount": 0.002, "relative": False}},
    workload={
        "name": "ctr-dlrm",
        "data": "real",
        "licence": "Ta-Feng, research use",
        "citation": "Ta-Feng grocery data set",
        "facts": {"train rows": 620_000, "training seconds": 71.4, "reference auc": 0.6812},
    },
)
TIE = replace(
    WIN,
    scenario="search-ranking",
    description="",
    verdict="TIE",
    answer="STAY",
    choice=RANKED[1],
    leader=RANKED[1],
    incumbent=RANKED[1],
    set=("openvino/int8/2x1", "onnxruntime/int8-dynamic/2x1"),
    margin=None,
    headline="Stay with onnxruntime/int8-dynamic/2x1: 2 candidates cannot be told apart, and it is what serves today.",
    reasons=("The difference to openvino/int8/2x1 is 1.1 % (-0.9 % to 3.1 %), below the 2 % that matter.",),
)
INFEASIBLE = replace(
    WIN,
    scenario="tight",
    verdict="INFEASIBLE",
    choice=None,
    leader=None,
    answer=None,
    incumbent=None,
    set=(),
    nearest=REST[0],
    candidates=REST,
    headline="Nothing measured serves 300 requests/s within p99 20 ms and the quality floor.",
    reasons=("3 candidates miss the SLA, 1 misses the quality floor, 3 failed.",),
    regret_high=None,
    margin=None,
    leaderboard=None,
)
UNSETTLED = replace(
    RANKED[0],
    outcome="undecided",
    rank=None,
    p99_low_ms=None,
    p99_high_ms=None,
    reason="too few requests to settle p99",
)
INSUFFICIENT = replace(
    WIN,
    scenario="short",
    verdict="INSUFFICIENT",
    choice=None,
    leader=None,
    answer=None,
    incumbent=None,
    set=(),
    nearest=UNSETTLED,
    candidates=(
        UNSETTLED,
        judgement(
            "torch/fp32/1x2",
            stage="serve",
            outcome="not-reached",
            reason="the budget ended first",
            requests=0,
            rounds=0,
        ),
    ),
    headline="Not enough evidence: the budget of 20 s ended before any candidate's p99 was settled.",
    reasons=("About 2 min 30 s more would settle it.",),
    more_needed_s=150.0,
    regret_high=None,
    margin=None,
    leaderboard=None,
)
PROVISIONAL = replace(
    WIN,
    scenario="own-model",
    provisional=True,
    answer=None,
    incumbent=None,
    currency=None,
    cost_unit="core-seconds per million items",
    floors={},
    candidates=tuple(replace(one, yearly_cost=None) for one in WIN.candidates),
    headline="openvino/fp32/2x1 is 13 % cheaper than the next, on generated inputs.",
    choice=RANKED[2],
    leader=RANKED[2],
    workload={"name": "model.onnx", "data": "generated", "licence": "", "citation": "", "facts": {}},
)
OFFLINE = replace(
    WIN,
    scenario="batch-scoring",
    kind="offline",
    sla=None,
    floors={},
    answer=None,
    incumbent=None,
    leaderboard=None,
    traffic={"kind": "offline", "qps": None, "rate": None, "open_loop": False, "mean_items": 1024.0},
    choice=replace(CHOICE, p99_ms=None),
    leader=replace(CHOICE, p99_ms=None),
    candidates=tuple(
        replace(
            one,
            p50_ms=None,
            p99_ms=None,
            p99_low_ms=None,
            p99_high_ms=None,
            capacity_qps=None,
            capacity_low_qps=None,
            capacity_high_qps=None,
            offered_qps=None,
        )
        for one in WIN.candidates
    ),
    headline="openvino/int8/2x1 scores 157,000 items/s, 6.7 % cheaper than the next.",
)
PRODUCTION = replace(
    WIN,
    scenario="against-production",
    incumbent=None,
    production={"name": "triton today", "p99_ms": 17.5, "qps": 300.0, "cpus": 4, "cost": 0.171},
)
EVIL = replace(
    WIN,
    scenario=HOSTILE,
    description=HOSTILE + LONG,
    headline=HOSTILE + LONG,
    reasons=(HOSTILE, LONG),
    choice=replace(CHOICE, candidate=HOSTILE, reproduce=HOSTILE, settings={HOSTILE: HOSTILE}),
    candidates=(
        replace(CHOICE, candidate=HOSTILE, backend=HOSTILE),
        replace(RANKED[1], candidate="a" * 300, reason=LONG),
        replace(REST[5], candidate=HOSTILE * 3, reason=HOSTILE + LONG, trusted=False, trust_notes=(HOSTILE,)),
    ),
    incumbent=None,
    workload={"name": HOSTILE, "data": "real", "licence": HOSTILE, "citation": LONG, "facts": {HOSTILE: HOSTILE}},
    leaderboard=Leaderboard(HOSTILE, float("nan"), HOSTILE),
)
ALL = (WIN, TIE, INFEASIBLE, INSUFFICIENT, PROVISIONAL, OFFLINE, PRODUCTION, EVIL)


NO_STAMPS = np.zeros(0, dtype=np.int64)


def block(**facts):
    return Block("open", 300.0, NO_STAMPS.astype(np.int32), NO_STAMPS.astype(np.int32), *[NO_STAMPS] * 4, 1, 1, facts)


GENERATOR = {"generator_cpu": 0, "generator_realtime": 1, "generator_wall_ns": 10**9, "generator_cpu_ns": 10**8}
QUIET, NOISY = block(psi=0.012, steal=0.0, **GENERATOR), block(psi=0.034, steal=0.002, **GENERATOR)


@pytest.fixture(scope="session", params=ALL, ids=lambda verdict: verdict.scenario[:12].strip("<"))
def verdict(request):
    """Each kind of verdict in turn."""
    return request.param


@pytest.fixture(scope="session")
def win():
    """A clear winner against an incumbent, with money, misses and failures of all kinds."""
    return WIN


@pytest.fixture(scope="session")
def offline():
    """No SLA, no rate, no floor: cost alone decides."""
    return OFFLINE


@pytest.fixture(scope="session")
def every():
    """All verdicts at once, as a run of many scenarios gives them."""
    return ALL


@pytest.fixture(scope="session")
def hostile():
    """A name that attacks HTML, SVG, Markdown, mathtext, rich's markup and terminals alike."""
    return HOSTILE


@pytest.fixture(scope="session")
def record():
    """A run's own facts; its blocks are not what a renderer reads."""
    return RunRecord(
        run="20261121-1412-ab3f",
        started_at=datetime(2026, 11, 21, 14, 12, 5, tzinfo=UTC),
        finished_at=datetime(2026, 11, 21, 14, 16, 2, tzinfo=UTC),
        status="finished",
        command="bakeoff run scenarios/ctr-ranking.yaml --budget 3m",
        host={
            "host": "3f9a1c0b77de",
            "cpu": "AMD EPYC 9V74 80-Core Processor",
            "cpu_flags": ["avx2", "avx512f", "avx512_vnni"],
            "cores": 4,
            "affinity": [0, 1],
            "quota_cpus": 2.0,
            "memory_bytes": 8_321_499_136,
            "governor": "unknown",
            "kernel": "6.8.0-1031",
            "container": "docker",
            "gpus": [{"name": "NVIDIA L4", "driver": "570.86.15", "memory_bytes": 24_000_000_000}],
            "noise": [
                {"when": "before", "lost": 0.013, "worst_gap_ms": 1.5, "steal": 0.0, "load": 0.4},
                {"when": "after", "lost": 0.021, "worst_gap_ms": 2.5, "steal": 0.0, "load": 0.9},
            ],
        },
        environment={
            "python": "3.11.9",
            "packages": {"bakeoff": "0.1.0", "openvino": "2026.3.0", "onnxruntime": "1.24.1", "torch": HOSTILE},
            "git_commit": None,
        },
        budget_s=180.0,
        seed=17,
        scenarios=(
            ScenarioRecord(
                name="ctr-ranking",
                definition={"resources": {"device": "cpu", "cpus": 2, "memory_bytes": None}},
                candidates=tuple(
                    CandidateRecord(
                        Candidate(backend, "fp32", Setting("1x2", 2)),
                        facts={"version": version},
                        blocks=(BlockRecord(1, 0, lambda: QUIET), BlockRecord(1, 1, lambda: NOISY)),
                    )
                    for backend, version in (("openvino", "2026.3.0"), ("onnxruntime", "1.24.1"), ("torch", "2.13.0"))
                ),
            ),
        ),
    )
