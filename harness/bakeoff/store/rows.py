"""Finding the row that something belongs to, and adding what may be there already; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from bakeoff.store import tables


def run_number(connection: Connection, run: str) -> int:
    """The number of a run's row; raises LookupError where it was never added."""
    return _only(connection, select(tables.runs.c.number).where(tables.runs.c.run == run), f"run {run!r}")


def scenario_number(connection: Connection, run: str, scenario: str) -> int:
    """The number of a scenario's row; raises LookupError where it was never added."""
    c = tables.scenarios.c
    query = select(c.number).join(tables.runs).where(tables.runs.c.run == run, c.name == scenario)
    return _only(connection, query, f"scenario {scenario!r} in run {run!r}")


def candidate_number(connection: Connection, run: str, scenario: str, candidate: str) -> int:
    """The number of a candidate's row; raises LookupError where it was never added."""
    c = tables.candidates.c
    owner = scenario_number(connection, run, scenario)
    query = select(c.number).where(c.scenario_number == owner, c.candidate == candidate)
    return _only(connection, query, f"candidate {candidate!r} in scenario {scenario!r} of run {run!r}")


def night_number(connection: Connection, night: str) -> int:
    """The number of a night's row; raises LookupError where it was never added."""
    return _only(connection, select(tables.nights.c.number).where(tables.nights.c.night == night), f"night {night!r}")


def _only(connection: Connection, query: Select[Any], what: str) -> int:
    found: int | None = connection.execute(query).scalar()
    if found is None:
        raise LookupError(f"the store has no {what}: it must be added first")
    return found


def upsert(
    connection: Connection, table: Table, key: Mapping[str, Any], new: Mapping[str, Any], changed: Mapping[str, Any]
) -> None:
    """Insert `key` with `new`; where the key is there already, set `changed` instead."""
    same = [table.c[name] == value for name, value in key.items()]
    if connection.execute(select(table.c.number).where(*same)).first() is None:
        connection.execute(table.insert().values(**key, **new))
    elif changed:
        connection.execute(table.update().where(*same).values(**changed))
