"""From a store's rows to a run's record. Blocks are left where they are: a record knows how to fetch each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, select

from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.store import tables
from bakeoff.store.plain import candidate_from, nan
from bakeoff.store.record import BlockRecord, CandidateRecord, LedgerRow, Quality, RunRecord, ScenarioRecord

Fetch = Callable[[int], Block]


def run_record(connection: Connection, run: str, fetch: Fetch) -> RunRecord:
    """A run by its id; `fetch` gives a block by its row's number. Raises UserError where there is no such run."""
    row = connection.execute(select(tables.runs).where(tables.runs.c.run == run)).one_or_none()
    if row is None:
        raise UserError(f"there is no run {run!r}")
    return RunRecord(
        run=row.run,
        started_at=datetime.fromisoformat(row.started_at),
        finished_at=None if row.finished_at is None else datetime.fromisoformat(row.finished_at),
        status=row.status,
        command=row.command,
        host=row.host,
        environment=row.environment,
        budget_s=row.budget_s,
        seed=row.seed,
        scenarios=tuple(
            _scenario(connection, one, fetch)
            for one in _of(connection, tables.scenarios, tables.scenarios.c.run_number, row.number)
        ),
    )


def _of(connection: Connection, table: Table, owner: Column[Any], number: int) -> Sequence[Row[Any]]:
    return connection.execute(select(table).where(owner == number).order_by(table.c.number)).all()


def _scenario(connection: Connection, row: Row[Any], fetch: Fetch) -> ScenarioRecord:
    entries = _of(connection, tables.ledger, tables.ledger.c.scenario_number, row.number)
    planned = _of(connection, tables.candidates, tables.candidates.c.scenario_number, row.number)
    return ScenarioRecord(
        name=row.name,
        definition=row.definition,
        workload=row.workload,
        candidates=tuple(
            _candidate(connection, one, tuple(_entry(e) for e in entries if e.candidate == one.candidate), fetch)
            for one in planned
        ),
        ledger=tuple(_entry(e) for e in entries if e.candidate is None),
    )


def _candidate(connection: Connection, row: Row[Any], ledger: tuple[LedgerRow, ...], fetch: Fetch) -> CandidateRecord:
    c = tables.blocks.c
    blocks = connection.execute(
        select(c.number, c.round, c.position)
        .where(c.candidate_number == row.number)
        .order_by(c.round, c.position, c.number)
    ).all()
    return CandidateRecord(
        candidate=candidate_from(row.definition),
        facts=row.facts,
        ledger=ledger,
        blocks=tuple(BlockRecord(one.round, one.position, partial(fetch, one.number)) for one in blocks),
        quality=tuple(
            _quality(one) for one in _of(connection, tables.quality, tables.quality.c.candidate_number, row.number)
        ),
    )


def _entry(row: Row[Any]) -> LedgerRow:
    return LedgerRow(
        stage=row.stage,
        outcome=row.outcome,
        reason=row.reason,
        seconds=nan(row.seconds),
        command=row.command,
        at=datetime.fromisoformat(row.at),
        facts=row.facts,
    )


def _quality(row: Row[Any]) -> Quality:
    return Quality(
        metric=row.metric,
        value=nan(row.value),
        base=nan(row.base),
        delta=nan(row.delta),
        low=nan(row.low),
        high=nan(row.high),
        examples=row.examples,
        higher_is_better=row.higher_is_better,
    )
