"""A real PostgreSQL server for tests, where its programs and driver are installed."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest


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
