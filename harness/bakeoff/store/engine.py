"""Where a store is and how it is opened: a SQLite file by path, anything else that SQLAlchemy speaks by URL."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError, OperationalError

from bakeoff.errors import UserError
from bakeoff.store import migrations
from bakeoff.store.tables import SCHEMA_VERSION

BUSY_S = 60.0
"""How long a writer waits for another one: a write takes milliseconds, but a slow disk may stall."""

_SQLITE = "sqlite"


def locate(place: str | os.PathLike[str]) -> URL:
    """The database URL for a path (SQLite) or a URL; raises UserError where it can be no store."""
    text = os.fspath(place)
    if "://" not in text:
        return URL.create(_SQLITE, database=str(Path(text).expanduser().absolute()))
    try:
        url = make_url(text)
    except ArgumentError:
        raise UserError(
            "the store's URL cannot be read; write a path or postgresql://user@host:port/database"
        ) from None
    if url.get_backend_name() == _SQLITE:
        if not url.database or url.database == ":memory:":
            raise UserError(f"store {text}: a store must outlive the run; give a file")
        return URL.create(_SQLITE, database=str(Path(url.database).absolute()))
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    return url


def shown(url: URL) -> str:
    """The store's place as shown to people: the path, or the URL without its password."""
    return str(url.database) if url.get_backend_name() == _SQLITE else url.render_as_string(hide_password=True)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turns what a damaged, locked, full or unreachable database raises into one clear line."""
    try:
        yield
    except UserError as error:
        raise UserError(f"store {place}: {error}") from None
    except IntegrityError:
        raise
    except DatabaseError as error:
        if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
            raise
        reason = " ".join(str(error.orig).split())
        raise UserError(f"store {place}: {reason}; give another place with --store") from None


def connect(url: URL, create: bool) -> Engine:
    """An engine whose schema is the present one: created where `create` says so, migrated where it is older.

    Raises UserError, in one line, for what is no store: a folder, another program's file, a newer store, none at all.
    """
    with told(shown(url)):
        sqlite = url.get_backend_name() == _SQLITE
        if sqlite:
            _check_file(Path(str(url.database)), create)
        try:
            engine = _sqlite_engine(Path(str(url.database)), create) if sqlite else create_engine(url)
        except (ImportError, NoSuchModuleError) as error:
            raise UserError(
                f"its database driver is missing ({error}): pip install 'psycopg[binary]' for PostgreSQL"
            ) from None
        try:
            _bring_up(engine, create)
        except BaseException:
            engine.dispose()
            raise
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write: on SQLite they take the write lock at once, so none can deadlock."""
    return engine.execution_options(bakeoff_writing=True)


def _check_file(path: Path, create: bool) -> None:
    if path.is_dir():
        raise UserError("is a folder; give a file, such as results/bakeoff.db")
    if path.exists():
        return
    if not create:
        raise UserError("does not exist; `bakeoff run` and `bakeoff check` make one, --store names another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"its folder cannot be made: {error.strerror}") from None


def _sqlite_engine(path: Path, create: bool) -> Engine:
    url = URL.create(_SQLITE, database=str(path))
    if not create and not os.access(path.parent, os.W_OK):
        url = url.set(database=f"file:{path}", query={"mode": "ro", "immutable": "1", "uri": "true"})
    engine = create_engine(url, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Write-ahead log, and a sync at every commit: a block survives the loss of power once it is stored."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for _ in range(20):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                break
            time.sleep(0.05)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("bakeoff_writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up(engine: Engine, create: bool) -> None:
    with engine.begin() as connection:
        found = migrations.version(connection)
        strangers = found is None and engine.dialect.name == _SQLITE and bool(inspect(connection).get_table_names())
    if found is not None:
        migrations.check(found)
    if strangers:
        raise UserError("is another program's database; give another file")
    if found is None and not create:
        raise UserError("holds no runs yet; `bakeoff run` makes some, --store names another")
    if found != SCHEMA_VERSION:
        _migrate(engine)


def _migrate(engine: Engine) -> None:
    """Creates or migrates under the write lock; where another process was quicker, its work is taken as it is."""
    try:
        with writing(engine).begin() as connection:
            found = migrations.version(connection)
            if found is None:
                migrations.create(connection)
            elif found < SCHEMA_VERSION:
                migrations.migrate(connection, found)
    except DatabaseError as error:
        with engine.begin() as connection:
            if migrations.version(connection) != SCHEMA_VERSION:
                raise error
