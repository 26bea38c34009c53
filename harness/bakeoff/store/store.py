"""The store: what runs leave, each block durable as it ends, so that a killed run loses only the block in flight."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bakeoff.candidates import Candidate
from bakeoff.errors import UserError
from bakeoff.measure.block import Block
from bakeoff.store import engine as engines
from bakeoff.store import loading, rows, tables
from bakeoff.store.nights import Nights
from bakeoff.store.opened import RUNNING
from bakeoff.store.plain import candidate_definition, now_text, number, plain, text, time_text
from bakeoff.store.record import NOISE, LedgerRow, Quality, RunRecord


class Store(Nights):
    """An open store of runs, and of nights."""

    # Writing

    def begin(
        self,
        command: str,
        host: Mapping[str, Any],
        environment: Mapping[str, Any],
        budget_s: float | None = None,
        seed: int = 0,
    ) -> str:
        """Start a run and give its id, such as "20261121-1412-ab3f" (UTC)."""
        values = {
            "started_at": now_text(),
            "status": RUNNING,
            "command": text(command),
            "host": plain(host),
            "environment": plain(environment),
            "budget_s": budget_s,
            "seed": seed,
        }
        return self._begin(tables.runs, "run", values)

    def set_status(self, run: str, status: str) -> None:
        """Say where the run stands; "running" (it was taken up again) clears the time it ended, any other sets it."""
        ended = None if status == RUNNING else now_text()
        with self._writing() as connection:
            connection.execute(
                tables.runs.update().where(tables.runs.c.run == run).values(status=text(status), finished_at=ended)
            )

    def finish(self, run: str, status: str) -> None:
        """The run has ended: "finished", "stopped" or "failed"."""
        self.set_status(run, status)

    def add_noise(self, run: str, when: str, noise: Mapping[str, Any]) -> None:
        """Add a look at the machine's noise to the run's host facts, "before" or "after" it measured."""
        same = tables.runs.c.run == run
        with self._writing() as connection:
            host = connection.execute(select(tables.runs.c.host).where(same)).scalar_one()
            looks = [*host.get(NOISE, ()), plain({"when": when, **noise})]
            connection.execute(tables.runs.update().where(same).values(host={**host, NOISE: looks}))

    def add_scenario(
        self, run: str, name: str, definition: Mapping[str, Any], workload: Mapping[str, Any] | None = None
    ) -> None:
        """Add a scenario as asked; once it is there, only its workload's facts can change."""
        with self._writing() as connection:
            key = {"run_number": rows.run_number(connection, run), "name": text(name)}
            given = {} if workload is None else {"workload": plain(workload)}
            rows.upsert(
                connection, tables.scenarios, key, {"definition": plain(definition), "workload": {}} | given, given
            )

    def add_candidate(
        self, run: str, scenario: str, candidate: Candidate, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Add a planned candidate; once it is there, only its facts can change."""
        with self._writing() as connection:
            key = {"scenario_number": rows.scenario_number(connection, run, scenario), "candidate": text(candidate.id)}
            given = {} if facts is None else {"facts": plain(facts)}
            new = {"definition": plain(candidate_definition(candidate)), "facts": {}} | given
            rows.upsert(connection, tables.candidates, key, new, given)

    def add_row(self, run: str, scenario: str, candidate: str | None, row: LedgerRow) -> None:
        """Add to the ledger; `candidate` None is about the whole scenario."""
        with self._writing() as connection:
            connection.execute(
                tables.ledger.insert().values(
                    scenario_number=rows.scenario_number(connection, run, scenario),
                    candidate=None if candidate is None else text(candidate),
                    stage=text(row.stage),
                    outcome=text(row.outcome),
                    reason=text(row.reason),
                    seconds=number(row.seconds),
                    command=text(row.command),
                    at=time_text(row.at),
                    facts=plain(row.facts),
                )
            )

    def add_block(
        self, run: str, scenario: str, candidate: str, round_number: int, position: int, block: Block
    ) -> None:
        """Add a measured block; it is on disk when this returns.

        Raises UserError where that place in that round is taken: another process writes to the same run.
        """
        stamps = block.to_bytes()
        try:
            with self._writing() as connection:
                connection.execute(
                    tables.blocks.insert().values(
                        candidate_number=rows.candidate_number(connection, run, scenario, candidate),
                        round=round_number,
                        position=position,
                        at=now_text(),
                        stamps=stamps,
                    )
                )
        except IntegrityError:
            raise UserError(
                f"store {self.place}: run {run} already has block {position} of round {round_number} of {candidate}: "
                "does another bakeoff resume the same run?"
            ) from None

    def add_quality(self, run: str, scenario: str, candidate: str, quality: Sequence[Quality]) -> None:
        """Add a candidate's metrics; a metric measured again replaces the earlier figures."""
        with self._writing() as connection:
            owner = rows.candidate_number(connection, run, scenario, candidate)
            for metric in quality:
                figures = {
                    name: number(getattr(metric, name)) for name in ("value", "base", "delta", "low", "high")
                } | {"examples": metric.examples, "higher_is_better": metric.higher_is_better}
                key = {"candidate_number": owner, "metric": text(metric.metric)}
                rows.upsert(connection, tables.quality, key, figures, figures)

    # Reading

    def runs(self) -> tuple[str, ...]:
        """The ids of all runs, the latest first."""
        found = self._read(select(tables.runs.c.run).order_by(tables.runs.c.number.desc()))
        return tuple(row.run for row in found)

    def latest(self) -> str:
        """The id of the run begun last; raises UserError where there is none."""
        return self.resolve("latest")

    def resolve(self, name: str) -> str:
        """The run that "latest", an id or the unique beginning of an id names; raises UserError otherwise."""
        known = self.runs()
        if not known:
            raise UserError(f"store {self.place}: holds no runs yet; `bakeoff run` makes some")
        if name == "latest":
            return known[0]
        found = [run for run in known if run == name] or [run for run in known if name and run.startswith(name)]
        if len(found) == 1:
            return found[0]
        problem = f"run {name!r} fits {len(found)} runs" if found else f"there is no run {name!r}"
        hint = ", ".join((found or known)[:5])
        raise UserError(f"store {self.place}: {problem}; write latest or one of {hint}")

    def load(self, run: str) -> RunRecord:
        """A run's record; its blocks' stamps are read only when asked for, and need the store open then."""
        with engines.told(self.place), self._reader.begin() as connection:
            return loading.run_record(connection, run, self._block)

    def has_block(self, run: str, scenario: str, candidate: str, round_number: int, position: int) -> bool:
        """Whether a block was measured already, so that a resumed run need not measure it again."""
        c = tables.blocks.c
        found = self._read(
            select(c.number)
            .join(tables.candidates, tables.candidates.c.number == c.candidate_number)
            .join(tables.scenarios, tables.scenarios.c.number == tables.candidates.c.scenario_number)
            .join(tables.runs, tables.runs.c.number == tables.scenarios.c.run_number)
            .where(
                tables.runs.c.run == run,
                tables.scenarios.c.name == scenario,
                tables.candidates.c.candidate == candidate,
                c.round == round_number,
                c.position == position,
            )
        )
        return bool(found)

    def _block(self, number: int) -> Block:
        found = self._read(select(tables.blocks.c.stamps).where(tables.blocks.c.number == number))
        try:
            return Block.from_bytes(found[0].stamps)
        except (IndexError, KeyError, OSError, ValueError, zlib.error) as error:
            raise UserError(f"store {self.place}: block {number} is damaged ({error})") from None
