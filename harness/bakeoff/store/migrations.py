"""How a store comes to the present schema: created where there is none, migrated where older, refused where newer.

`MIGRATIONS[n]` are the statements that lead from version n to n + 1, in SQL that SQLite and PostgreSQL share.
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
}


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
    for step in range(found, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(text(statement))
    connection.execute(meta.update().where(meta.c.key == "schema_version").values(value=str(SCHEMA_VERSION)))
