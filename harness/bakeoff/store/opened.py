"""An open store: its connections, and transactions whose failures are one clear line."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, Row, Select, Table
from sqlalchemy.exc import IntegrityError

from bakeoff.store import engine as engines

RUNNING = "running"


class Opened:
    """An open store. Every method is one transaction; two processes may write at once. Close it, or use `with`."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._reader = engine
        self._writer = engines.writing(engine)
        self.place = engines.shown(url)

    @classmethod
    def open(cls, place: str | os.PathLike[str], create: bool = True) -> Self:
        """The store at a path (a SQLite file) or URL; raises UserError where there is none and `create` is false."""
        url = engines.locate(place)
        return cls(engines.connect(url, create), url)

    def close(self) -> None:
        """Give the connections back."""
        self._reader.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, table: Table, column: str, values: Mapping[str, Any]) -> str:
        """Insert a row under an id that is not taken, such as "20261121-1412-ab3f" (UTC), and give the id."""
        with engines.told(self.place):
            while True:
                name = f"{datetime.now(UTC):%Y%m%d-%H%M}-{secrets.token_hex(2)}"
                try:
                    with self._writer.begin() as connection:
                        connection.execute(table.insert().values({column: name, **values}))
                    return name
                except IntegrityError:
                    continue

    def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with engines.told(self.place), self._reader.begin() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with engines.told(self.place), self._writer.begin() as connection:
            yield connection
