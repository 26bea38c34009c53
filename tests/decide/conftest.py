"""Runs made up in memory: engines with a known service time, driven as the real ones are."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.capacity import sojourns_s
from bakeoff.measure.block import Block
from bakeoff.scenario import from_dict
from bakeoff.store.record import BlockRecord, CandidateRecord, LedgerRow, Quality, RunRecord, ScenarioRecord

OK_ROWS = tuple(LedgerRow(stage, "ok") for stage in ("build", "load", "verify", "screen"))


def make_block(
    service_ms=2.0,
    *,
    qps=100.0,
    seconds=8.0,
    seed=0,
    spread=0.1,
    kind="open",
    late_ms=0.0,
    drop=0.0,
    items=100,
    **facts,
):
    """One lane with gamma service times; open: Poisson arrivals in a queue, `late_ms` late in sending."""
    rng = np.random.default_rng(seed)
    count = round(qps * seconds)
    service = rng.gamma(1 / spread**2, service_ms / 1e3 * spread**2, count)
    if kind == "closed":
        started = np.concatenate([[0.0], np.cumsum(service)[:-1]])
        scheduled = sent = started
        done = started + service
    else:
        gaps = rng.exponential(1 / qps, count)
        scheduled = np.cumsum(gaps / gaps.mean() / qps)
        sent = scheduled + late_ms / 1e3
        arrived = sent + 20e-6
        done = arrived + sojourns_s(arrived, service, 1)
        started = done - service
    ns = [(1e9 * stamp).astype(np.int64) for stamp in (scheduled, sent, started, done)]
    ns[3][rng.random(count) < drop] = -1
    return Block(
        kind=kind,
        offered_qps=qps if kind == "open" else None,
        request=np.arange(count, dtype=np.int32),
        items=np.full(count, items, np.int32),
        scheduled_ns=ns[0],
        sent_ns=ns[1],
        started_ns=ns[2],
        done_ns=ns[3],
        wall_ns=int(1e9 * max(done.max(), 1e-9)),
        cpu_ns=int(service.sum() * 1e9),
        facts={"peak_memory_bytes": 100_000_000, **facts},
    )


def auc(delta=0.0, half=0.0001, metric="auc"):
    return Quality(metric, 0.7 + delta, 0.7, delta, delta - half, delta + half, 200_000)


@dataclass
class Engine:
    """A candidate to be: its mean service time in ms, in which rounds it was measured, and whatever differs.

    Its backend is called as the candidate is, unless it has a name of its own.
    """

    service_ms: float | None = 2.0
    precision: str = "fp32"
    backend: str = ""
    variant: str = "base"
    rounds: int = 4
    noise: float = 0.01
    blocks: dict = field(default_factory=dict)
    ledger: tuple = ()
    quality: tuple | None = None
    memory: int = 100_000_000
    startup_s: float = 1.0


def record_of(name, engine, definition, seed):
    candidate = Candidate(engine.backend or name, engine.precision, Setting("1x1"), engine.variant)
    measured = []
    rng = np.random.default_rng([seed, *map(ord, name)])
    for number in range(engine.rounds + 1 if engine.service_ms is not None else 0):
        service_ms = engine.service_ms * float(np.exp(rng.normal(0, engine.noise)))
        qps = definition["traffic"]["qps"]
        kind, rate = ("open", qps) if qps else ("closed", 100.0)
        figures = {"qps": rate, "kind": kind, "seed": seed * 100 + number, "peak_memory_bytes": engine.memory}
        block = make_block(service_ms, **{**figures, **engine.blocks})
        measured.append(BlockRecord(number, 0, lambda block=block: block))
    loaded = LedgerRow("load", "ok", facts={"startup_s": engine.startup_s, "memory_bytes": engine.memory})
    quality = (auc(),) if engine.quality is None else engine.quality
    ledger = (*OK_ROWS, loaded, *engine.ledger)
    return CandidateRecord(candidate, {}, ledger, tuple(measured), quality)


@pytest.fixture(scope="session")
def scenario():
    """A scenario's record: engines by name, and what differs from 100 QPS within 20 ms at p99."""

    def make(engines, data="real", seed=1, **changed):
        asked = {
            "workload": "ctr-dlrm",
            "traffic": {"kind": "server", "qps": 100, "fleet_qps": 6000, "batch_size": 100},
            "sla": {"p99": "20ms"},
            "quality": {"auc": 0.002},
            "resources": {"cpus": 1},
            "price": "0.0416 USD/core-hour",
            **changed,
        }
        definition = from_dict({key: value for key, value in asked.items() if value is not None}).definition()
        candidates = tuple(record_of(name, engine, definition, seed) for name, engine in engines.items())
        return ScenarioRecord("ctr-ranking", definition, {"name": "ctr-dlrm", "data": data}, candidates)

    return make


@pytest.fixture(scope="session")
def run():
    def make(*scenarios):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return RunRecord("20260101-0000-abcd", at, None, "running", "bakeoff run", {"cpus": 2}, {}, 90.0, 1, scenarios)

    return make


@pytest.fixture(scope="session")
def block():
    return make_block


@pytest.fixture(scope="session")
def engine():
    return Engine


@pytest.fixture(scope="session")
def quality():
    return auc
