"""Stores to test with: a SQLite file, and a database of a real PostgreSQL server."""

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.store.store import Store

DEFINITION = {"workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": 100.0}, "sla": {"limit_ms": 20.0}}


def make_block(count=600, service_ms=2.0, kind="open", qps=100.0, unanswered=0, seed=0, **facts):
    rng = np.random.default_rng(seed)
    scheduled = np.cumsum(rng.integers(1_000_000, 20_000_000, count)).astype(np.int64)
    sent = scheduled + 10_000
    started = sent + 20_000
    done = started + (rng.gamma(9, service_ms / 9, count) * 1e6).astype(np.int64)
    if kind == "closed":
        sent = started = scheduled
    done[:unanswered] = -1
    return Block(
        kind=kind,
        offered_qps=qps if kind == "open" else None,
        request=np.arange(count, dtype=np.int32),
        items=np.full(count, 100, np.int32),
        scheduled_ns=scheduled,
        sent_ns=sent,
        started_ns=started,
        done_ns=done,
        wall_ns=int(scheduled[-1]) + 10_000_000,
        cpu_ns=int(count * service_ms * 1e6),
        facts=facts,
    )


@pytest.fixture
def block():
    return make_block


@pytest.fixture
def candidate():
    return Candidate("onnxruntime", "int8-dynamic", Setting("2x1", 1, 2, {"graph": "all", "window_ms": 0.5}), "student")


@pytest.fixture
def begun(candidate):
    """Begins a run with one scenario and one candidate in a store, and gives the run's id."""

    def begin(store):
        run = store.begin("bakeoff run x.yaml", {"cpus": 2}, {"python": "3.11"}, 90.0, 7)
        store.add_scenario(run, "ctr", DEFINITION, {"data": "real"})
        store.add_candidate(run, "ctr", candidate, {"version": "1.2"})
        return run

    return begin


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a store is to be: once a SQLite file in a folder that is not there yet, once a PostgreSQL database."""
    return (
        tmp_path / "results" / "bakeoff.db" if request.param == "sqlite" else request.getfixturevalue("postgres_place")
    )


@pytest.fixture
def store(place):
    with Store.open(place) as opened:
        yield opened
