"""Stores to test with: a SQLite file, and a real PostgreSQL server where its programs and driver are installed."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

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


@pytest.fixture(scope="session")
def postgres_url():
    """A server of its own on a Unix socket, or a skip that says what is missing."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None or find_spec("psycopg") is None:
        pytest.skip("needs PostgreSQL's initdb and postgres, and psycopg")
    user = "postgres" if os.getuid() == 0 else getpass.getuser()
    if user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("root cannot run PostgreSQL, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="bakeoff-pg-"))
    switch = {"user": user, "cwd": "/"} if os.getuid() == 0 else {}
    shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "bakeoff", "-A", "trust", "--no-sync"], check=True, capture_output=True, **switch
    )
    server = subprocess.Popen(
        [postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **switch,
    )
    try:
        _await_server(folder)
        yield f"postgresql://bakeoff:secret@/postgres?host={folder}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name):
    places = [Path(found)] if (found := shutil.which(name)) else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return places[0] if places else None


def _await_server(folder):
    import time

    import psycopg

    for _ in range(600):
        try:
            psycopg.connect(f"host={folder} user=bakeoff dbname=postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise TimeoutError("PostgreSQL did not start")


@pytest.fixture
def postgres_place(postgres_url):
    """A fresh database on the server."""
    import secrets

    from sqlalchemy import create_engine, make_url, text

    name = f"t{secrets.token_hex(4)}"
    admin = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return postgres_url.replace("/postgres?", f"/{name}?")


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
