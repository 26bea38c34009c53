"""Where a store can be and where it cannot: always one clear line, never a traceback."""

import os
import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, make_url, text

from bakeoff.errors import UserError
from bakeoff.store import engine, migrations
from bakeoff.store.record import Quality, SessionRecord
from bakeoff.store.store import Store
from bakeoff.store.tables import SCHEMA_VERSION

VERSION_1 = """
CREATE TABLE bakeoff_meta (key VARCHAR(40) NOT NULL PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO bakeoff_meta VALUES ('schema_version', '1');
CREATE TABLE bakeoff_runs (number SERIAL PRIMARY KEY, run VARCHAR(40) NOT NULL UNIQUE, started_at VARCHAR(40) NOT NULL,
 finished_at VARCHAR(40), status VARCHAR(40) NOT NULL, command TEXT NOT NULL, host JSON NOT NULL,
 environment JSON NOT NULL, budget_s FLOAT, seed BIGINT NOT NULL);
CREATE TABLE bakeoff_scenarios (number SERIAL PRIMARY KEY, run_number INTEGER NOT NULL REFERENCES bakeoff_runs (number),
 name TEXT NOT NULL, definition JSON NOT NULL, workload JSON NOT NULL, UNIQUE (run_number, name));
CREATE TABLE bakeoff_candidates (number SERIAL PRIMARY KEY,
 scenario_number INTEGER NOT NULL REFERENCES bakeoff_scenarios (number), candidate TEXT NOT NULL,
 definition JSON NOT NULL, facts JSON NOT NULL, UNIQUE (scenario_number, candidate));
CREATE TABLE bakeoff_ledger (number SERIAL PRIMARY KEY,
 scenario_number INTEGER NOT NULL REFERENCES bakeoff_scenarios (number), candidate TEXT, stage VARCHAR(40) NOT NULL,
 outcome VARCHAR(40) NOT NULL, reason TEXT NOT NULL, seconds FLOAT, command TEXT NOT NULL, at VARCHAR(40) NOT NULL,
 facts JSON NOT NULL);
CREATE INDEX ix_bakeoff_ledger_scenario_number ON bakeoff_ledger (scenario_number);
CREATE TABLE bakeoff_blocks (number SERIAL PRIMARY KEY,
 candidate_number INTEGER NOT NULL REFERENCES bakeoff_candidates (number), round INTEGER NOT NULL,
 position INTEGER NOT NULL, at VARCHAR(40) NOT NULL, stamps BLOB NOT NULL, UNIQUE (candidate_number, round, position));
CREATE TABLE bakeoff_quality (number SERIAL PRIMARY KEY,
 candidate_number INTEGER NOT NULL REFERENCES bakeoff_candidates (number), metric TEXT NOT NULL, value FLOAT,
 base FLOAT, delta FLOAT, low FLOAT, high FLOAT, examples INTEGER NOT NULL, UNIQUE (candidate_number, metric));
INSERT INTO bakeoff_runs VALUES (1, '20260101-0000-abcd', '2026-01-01T00:00:00.000000+00:00', NULL, 'finished', 'x',
 '{}', '{}', NULL, 0);
INSERT INTO bakeoff_scenarios VALUES (1, 1, 'ctr', '{}', '{}');
INSERT INTO bakeoff_candidates VALUES (1, 1, 'x/fp32/1x1', '{"backend": "x", "precision": "fp32", "variant": "base",
 "device": "cpu", "setting": {"name": "1x1", "threads": 1, "instances": 1, "options": {}}}', '{}');
INSERT INTO bakeoff_quality VALUES (1, 1, 'logloss', 0.5, 0.4, 0.1, 0.0, 0.2, 9);
INSERT INTO bakeoff_quality VALUES (2, 1, 'auc', 0.7, 0.7, 0.0, 0.0, 0.0, 9);
"""


def write_version_1(place):
    if "://" not in str(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(place) as connection:
            connection.executescript(VERSION_1.replace("SERIAL", "INTEGER NOT NULL"))
        connection.close()
        return
    server = create_engine(make_url(place).set(drivername="postgresql+psycopg"))
    with server.begin() as connection:
        for statement in VERSION_1.replace("BLOB", "BYTEA").split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    server.dispose()


def stored_version(store):
    with store._reader.begin() as connection:
        return migrations.version(connection)


def test_an_older_store_is_migrated_with_its_runs(place):
    write_version_1(place)
    with Store.open(place, create=False) as store:
        assert stored_version(store) == SCHEMA_VERSION
        (found,) = store.load("20260101-0000-abcd").scenarios[0].candidates
        assert found.quality == (
            Quality("logloss", 0.5, 0.4, 0.1, 0.0, 0.2, 9, higher_is_better=False),
            Quality("auc", 0.7, 0.7, 0.0, 0.0, 0.0, 9, higher_is_better=True),
        )
    with Store.open(place) as store:
        assert store.latest() == "20260101-0000-abcd"
        assert store.nights() == ()
        nights = [store.begin_night("bakeoff check", {}, {}, {}) for _ in range(2)]
        for number, night in enumerate(nights):
            store.add_session(night, SessionRecord("ctr", "x/fp32/1x1", "screen", number, {"service_time": 0.01}))
        assert store.nights() == tuple(reversed(nights))
        assert [len(one.values) for one in store.history("service_time")] == [1, 1]


def test_several_processes_migrate_a_store_at_once(place):
    write_version_1(place)
    program = (
        "import sys; from bakeoff.store.store import Store;"
        " Store.open(sys.argv[1]).begin_night('bakeoff check', {}, {}, {})"
    )
    opening = [subprocess.Popen([sys.executable, "-c", program, str(place)]) for _ in range(4)]
    assert [each.wait() for each in opening] == [0, 0, 0, 0]
    with Store.open(place, create=False) as store:
        assert stored_version(store) == SCHEMA_VERSION
        assert (len(store.nights()), len(store.runs())) == (4, 1)


def test_a_migrated_store_has_the_schema_of_a_new_one(tmp_path):
    write_version_1(tmp_path / "old.db")
    columns = []
    for name in ("old.db", "new.db"):
        Store.open(tmp_path / name).close()
        with sqlite3.connect(tmp_path / name) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns.append(
                {
                    table: (
                        {(c[1], c[3], c[5]) for c in connection.execute(f"PRAGMA table_info({table})")},
                        [i[2:4] for i in connection.execute(f"PRAGMA index_list({table})")],
                        [f[2:5] for f in connection.execute(f"PRAGMA foreign_key_list({table})")],
                    )
                    for table in tables
                }
            )
        connection.close()
    assert columns[0] == columns[1]


def set_version(place, value):
    Store.open(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE bakeoff_meta SET value = ?", (value,))
    connection.close()


@pytest.mark.parametrize(
    ("value", "message"),
    [("99", "99, this bakeoff knows up to"), ("x", "not a number"), ("0", "no way to")],
)
def test_an_unknown_version_is_refused(tmp_path, value, message):
    set_version(tmp_path / "b.db", value)
    with pytest.raises(UserError, match=message):
        Store.open(tmp_path / "b.db")


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    place = tmp_path / "b.db"
    write_version_1(place)
    broken = {1: (*migrations.MIGRATIONS[1], "SELECT nonsense FROM nowhere")}
    monkeypatch.setattr(migrations, "MIGRATIONS", {**migrations.MIGRATIONS, **broken})
    with pytest.raises(UserError, match="nowhere"):
        Store.open(place)
    with sqlite3.connect(place) as connection:
        assert connection.execute("SELECT value FROM bakeoff_meta").fetchone() == ("1",)
        assert "higher_is_better" not in str(connection.execute("PRAGMA table_info(bakeoff_quality)").fetchall())
    connection.close()


def test_a_store_made_by_another_process_meanwhile_is_taken_as_it_is(tmp_path, monkeypatch):
    place = tmp_path / "b.db"
    url = engine.locate(place)
    made = engine.connect(url, create=True)
    monkeypatch.setattr(migrations, "version", fooled(migrations.version))
    engine._migrate(made)
    made.dispose()


def fooled(version):
    """Says None at the first look, as if the tables were not there yet."""
    looks = iter([True])
    return lambda connection: None if next(looks, False) else version(connection)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database at all, but text of some length" * 40, "file is not a database"),
        (b"SQLite format 3\x00" + b"\xff" * 4000, "store .*b.db: "),
    ],
)
def test_a_file_that_is_no_database_is_one_line(tmp_path, content, message):
    place = tmp_path / "b.db"
    place.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        Store.open(place)
    assert "\n" not in str(raised.value)
    assert place.read_bytes() == content


def test_folders_and_strangers_and_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        Store.open(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        Store.open(tmp_path / "no.db", create=False)
    assert not (tmp_path / "no.db").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="folder cannot be made"):
        Store.open(tmp_path / "file" / "b.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(UserError, match="holds no runs yet"):
        Store.open(tmp_path / "empty.db", create=False)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE history (url TEXT)")
    connection.close()
    with pytest.raises(UserError, match="another program's database"):
        Store.open(tmp_path / "other.db")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("sqlite://", "must outlive the run"),
        ("sqlite:///:memory:", "must outlive the run"),
        ("://", "cannot be read"),
        ("nosuch://host/db", "driver is missing"),
        ("postgresql://me:hidden@127.0.0.1:1/db", "127.0.0.1"),
    ],
)
def test_bad_urls_are_one_line_without_the_password(place, message):
    with pytest.raises(UserError, match=message) as raised:
        Store.open(place)
    assert "hidden" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match="pip install 'psycopg"):
        Store.open("postgresql://host/db")


def test_urls_of_files_and_other_databases(tmp_path):
    Store.open(f"sqlite:///{tmp_path}/b.db").close()
    assert (tmp_path / "b.db").exists()
    assert engine.locate("mysql+pymysql://h/db").drivername == "mysql+pymysql"


def test_a_place_that_cannot_be_written_can_still_be_read(tmp_path, monkeypatch):
    place = tmp_path / "b.db"
    with Store.open(place) as store:
        run = store.begin("x", {}, {})
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Store.open(place, create=False) as store:
        assert store.latest() == run
        with pytest.raises(UserError, match="readonly database"):
            store.finish(run, "finished")


def test_a_database_that_turns_bad_under_us_is_one_line(tmp_path):
    with Store.open(tmp_path / "b.db") as store:
        with store._writer.begin() as connection:
            connection.execute(text("DROP TABLE bakeoff_runs"))
        with pytest.raises(UserError, match="no such table"):
            store.runs()


def test_a_damaged_block_is_one_line(tmp_path, begun, candidate, block):
    with Store.open(tmp_path / "b.db") as store:
        run = begun(store)
        for position in range(2):
            store.add_block(run, "ctr", candidate.id, 1, position, block(50))
        for position, stamps in enumerate(("zeroblob(10)", "substr(stamps, 1, 200)")):
            with store._writer.begin() as connection:
                connection.execute(text(f"UPDATE bakeoff_blocks SET stamps = {stamps} WHERE position = {position}"))
        for entry in store.load(run).scenarios[0].candidates[0].blocks:
            with pytest.raises(UserError, match="is damaged"):
                _ = entry.block


def test_every_commit_reaches_the_disk(tmp_path):
    with Store.open(tmp_path / "b.db") as store, store._reader.begin() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
