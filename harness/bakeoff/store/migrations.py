"""How a store comes to the present schema: created where there is none, migrated where older, refused where newer.

`MIGRATIONS[n]` are the statements that lead from version n to n + 1, in SQL that SQLite and PostgreSQL share but for
{numbered}, the type of a row's own number.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, inspect, select, text

from bakeoff.errors import UserError
from bakeoff.store.tables import SCHEMA_VERSION, meta, metadata

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE bakeoff_quality ADD COLUMN higher_is_better BOOLEAN NOT NULL DEFAULT TRUE",
        "UPDATE bakeoff_quality SET higher_is_better = FALSE WHERE metric IN ('logloss', 'score_error')",
    ),
    2: (
        "CREATE TABLE bakeoff_nights (number {numbered} NOT NULL PRIMARY KEY, night VARCHAR(40) NOT NULL UNIQUE,"
        " started_at VARCHAR(40) NOT NULL, finished_at VARCHAR(40), status VARCHAR(40) NOT NULL, command TEXT NOT NULL,"
        " pins JSON NOT NULL, packages JSON NOT NULL, host JSON NOT NULL, plan JSON NOT NULL)",
        "CREATE TABLE bakeoff_sessions (number {numbered} NOT NULL PRIMARY KEY,"
        " night_number INTEGER NOT NULL REFERENCES bakeoff_nights (number), scenario TEXT NOT NULL,"
        " candidate TEXT NOT NULL, stage VARCHAR(40) NOT NULL, session INTEGER NOT NULL, changes JSON NOT NULL,"
        " baseline JSON NOT NULL, now JSON NOT NULL, at VARCHAR(40) NOT NULL, stored BOOLEAN NOT NULL,"
        " UNIQUE (night_number, scenario, candidate, stage, session))",
        "CREATE TABLE bakeoff_answers (number {numbered} NOT NULL PRIMARY KEY,"
        " night_number INTEGER NOT NULL REFERENCES bakeoff_nights (number), scenario TEXT NOT NULL,"
        " candidate TEXT NOT NULL, answer JSON NOT NULL, UNIQUE (night_number, scenario, candidate))",
    ),
}
NUMBERED = {"postgresql": "SERIAL"}
"""How a database calls an INTEGER that counts by itself, where not so."""


def version(connection: Connection) -> int | None:
    """The store's schema version; None where the database holds no store. Raises UserError where it makes no sense."""
    if not inspect(connection).has_table(meta.name):
        return None
    value = connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if value is None or not value.isdigit():
        raise UserError(f"its schema version is {value!r}, not a number: the store is damaged")
    return int(value)


def check(found: int) -> None:
    """Raises UserError for a store that a later bakeoff wrote, or that no migration leads from."""
    if found > SCHEMA_VERSION:
        raise UserError(
            f"its schema version is {found}, this bakeoff knows up to {SCHEMA_VERSION}: update bakeoff to read it"
        )
    missing = [step for step in range(found, SCHEMA_VERSION) if step not in MIGRATIONS]
    if missing:
        raise UserError(f"its schema version is {found}, from which this bakeoff has no way to {SCHEMA_VERSION}")


def create(connection: Connection) -> None:
    """All tables, and the version; inside the caller's transaction."""
    metadata.create_all(connection)
    connection.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))


def migrate(connection: Connection, found: int) -> None:
    """From version `found` to the present one, step by step; inside the caller's transaction, so all or nothing."""
    numbered = NUMBERED.get(connection.dialect.name, "INTEGER")
    for step in range(found, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(text(statement.format(numbered=numbered)))
    connection.execute(meta.update().where(meta.c.key == "schema_version").values(value=str(SCHEMA_VERSION)))
