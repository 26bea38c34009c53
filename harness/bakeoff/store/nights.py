"""The nights of a store: each session durable as it ends, so that a killed check loses only the session in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select
from sqlalchemy.exc import IntegrityError

from bakeoff.errors import UserError
from bakeoff.store import engine as engines
from bakeoff.store import rows, tables
from bakeoff.store.opened import RUNNING, Opened
from bakeoff.store.plain import now_text, plain, text, time_text
from bakeoff.store.record import AnswerRecord, NightRecord, SessionRecord

Benchmark = tuple[str, str]
"""A scenario's name and a candidate's id."""


@dataclass(frozen=True, slots=True)
class PastNight:
    """A night as the history needs it: by benchmark, one metric's log ratio in each session, and the answer's JSON."""

    night: str
    started_at: datetime
    status: str
    pins: Mapping[str, str]
    packages: Mapping[str, str]
    values: Mapping[Benchmark, Sequence[float]] = field(default_factory=dict)
    answers: Mapping[Benchmark, Mapping[str, Any]] = field(default_factory=dict)


class Nights(Opened):
    """An open store of nights. They are in the order in which they began, whatever the clock said."""

    def begin_night(
        self,
        command: str,
        pins: Mapping[str, str],
        packages: Mapping[str, str],
        host: Mapping[str, Any],
        plan: Sequence[str] = (),
    ) -> str:
        """Start a night and give its id, such as "20261121-0200-ab3f" (UTC)."""
        values = {
            "started_at": now_text(),
            "status": RUNNING,
            "command": text(command),
            "pins": plain(pins),
            "packages": plain(packages),
            "host": plain(host),
            "plan": plain(plan),
        }
        return self._begin(tables.nights, "night", values)

    def add_session(self, night: str, session: SessionRecord) -> None:
        """Add a session that ended; it is on disk when this returns.

        Raises UserError where the benchmark has a session of that stage and number: another process checks as this
        night.
        """
        try:
            with self._writing() as connection:
                connection.execute(
                    tables.sessions.insert().values(
                        night_number=rows.night_number(connection, night),
                        scenario=text(session.scenario),
                        candidate=text(session.candidate),
                        stage=text(session.stage),
                        session=session.number,
                        changes=plain(session.changes),
                        baseline=plain(session.baseline),
                        now=plain(session.now),
                        at=time_text(session.at),
                        stored=session.stored,
                    )
                )
        except IntegrityError:
            raise UserError(
                f"store {self.place}: night {night} already has session {session.number} of {session.stage} of "
                f"{session.scenario}: {session.candidate}: does another bakeoff write the same night?"
            ) from None

    def add_answer(self, night: str, answer: AnswerRecord) -> None:
        """Add what was said of a benchmark; said again, it replaces the earlier answer."""
        with self._writing() as connection:
            key = {
                "night_number": rows.night_number(connection, night),
                "scenario": text(answer.scenario),
                "candidate": text(answer.candidate),
            }
            said = {"answer": plain(answer.answer)}
            rows.upsert(connection, tables.answers, key, said, said)

    def finish_night(self, night: str, status: str) -> None:
        """The night has ended: "finished" or "stopped"."""
        with self._writing() as connection:
            number = rows.night_number(connection, night)
            ended = tables.nights.update().where(tables.nights.c.number == number)
            connection.execute(ended.values(status=text(status), finished_at=now_text()))

    def nights(self) -> tuple[str, ...]:
        """The ids of all nights, the latest first."""
        found = self._read(select(tables.nights.c.night).order_by(tables.nights.c.number.desc()))
        return tuple(row.night for row in found)

    def latest_of(self, command: str, pins: Mapping[str, str]) -> str | None:
        """The id of the latest night that ended by itself, of a command, with one of these pins or more: others that
        share the store have pins of their own. None where there is none."""
        n = tables.nights.c
        asked = select(n.night, n.pins).where(n.command == text(command), n.status == "finished")
        found = self._read(asked.order_by(n.number.desc()))
        return next((row.night for row in found if row.pins.items() & pins.items()), None)

    def load_night(self, night: str) -> NightRecord:
        """A night's record; raises UserError where there is no such night."""
        with engines.told(self.place), self._reader.begin() as connection:
            row = connection.execute(select(tables.nights).where(tables.nights.c.night == night)).one_or_none()
            if row is None:
                raise UserError(f"there is no night {night!r}")
            return NightRecord(
                night=row.night,
                started_at=datetime.fromisoformat(row.started_at),
                finished_at=None if row.finished_at is None else datetime.fromisoformat(row.finished_at),
                status=row.status,
                command=row.command,
                pins=row.pins,
                packages=row.packages,
                host=row.host,
                plan=tuple(row.plan),
                sessions=tuple(map(_session, _of(connection, tables.sessions, row.number))),
                answers=tuple(
                    AnswerRecord(one.scenario, one.candidate, one.answer)
                    for one in _of(connection, tables.answers, row.number)
                ),
            )

    def sessions(self, scenario: str, candidate: str, cpu: str | None = None) -> tuple[tuple[SessionRecord, ...], ...]:
        """A benchmark's sessions of every night that has any (on a `cpu` of that name), the earliest night first; none
        beside stored figures, whose error they share."""
        c, n = tables.sessions.c, tables.nights.c
        same = [c.scenario == text(scenario), c.candidate == text(candidate), c.stored.is_(False)]
        if cpu is not None:
            same.append(c.night_number.in_(select(n.number).where(n.host["cpu"].as_string() == cpu)))
        found = self._read(select(tables.sessions).where(*same).order_by(c.night_number, c.number))
        return tuple(tuple(map(_session, night)) for _, night in groupby(found, lambda row: row.night_number))

    def history(self, metric: str) -> tuple[PastNight, ...]:
        """Every night, the earliest first, with its answers, and one metric's values of every session that gave any
        and had a baseline beside it."""
        n, s, a = tables.nights.c, tables.sessions.c, tables.answers.c
        value = s.changes[metric].as_float()
        with engines.told(self.place), self._reader.begin() as connection:
            begun = connection.execute(
                select(n.number, n.night, n.started_at, n.status, n.pins, n.packages).order_by(n.number)
            ).all()
            measured = select(s.night_number, s.scenario, s.candidate, value).where(value.is_not(None))
            values = _by_night(connection, measured.where(s.stored.is_(False)).order_by(s.number))
            said = _by_night(connection, select(a.night_number, a.scenario, a.candidate, a.answer))
        return tuple(
            PastNight(
                night=row.night,
                started_at=datetime.fromisoformat(row.started_at),
                status=row.status,
                pins=row.pins,
                packages=row.packages,
                values=values.get(row.number, {}),
                answers={of: only for of, (only,) in said.get(row.number, {}).items()},
            )
            for row in begun
        )


def _of(connection: Connection, table: Table, night_number: int) -> Sequence[Row[Any]]:
    return connection.execute(select(table).where(table.c.night_number == night_number).order_by(table.c.number)).all()


def _by_night(connection: Connection, query: Select[Any]) -> dict[int, dict[Benchmark, list[Any]]]:
    """What the query's last column holds, by the number of the night and the benchmark."""
    found: dict[int, dict[Benchmark, list[Any]]] = {}
    for number, scenario, candidate, held in connection.execute(query):
        found.setdefault(number, {}).setdefault((scenario, candidate), []).append(held)
    return found


def _session(row: Row[Any]) -> SessionRecord:
    return SessionRecord(
        scenario=row.scenario,
        candidate=row.candidate,
        stage=row.stage,
        number=row.session,
        changes=_figures(row.changes),
        baseline=_figures(row.baseline),
        now=_figures(row.now),
        at=datetime.fromisoformat(row.at),
        stored=row.stored,
    )


def _figures(stored: Mapping[str, float | None]) -> dict[str, float]:
    """Those that could be computed: NaN is stored as null."""
    return {name: value for name, value in stored.items() if value is not None}
