"""How a command line names runs that lie in several stores: [HOST=][STORE::]RUN, or a store for its latest run."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bakeoff.store.record import RunRecord
from bakeoff.store.store import Store

LATEST = "latest"
_HOST = re.compile(r"(?P<host>[A-Za-z0-9][A-Za-z0-9._ -]*)=(?P<rest>.+)")
_IN_STORE = re.compile(r"(?P<store>.+)::(?P<run>[A-Za-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Named:
    """A run as it was named: the host's name, "" where none was given, the store, and the run's id or its beginning."""

    host: str
    store: str
    run: str

    def load(self, within: ExitStack) -> RunRecord:
        """The run's record, its store open as long as `within`; raises UserError where there is none such."""
        store = within.enter_context(Store.open(self.store, create=False))
        return store.load(store.resolve(self.run))


def parse(text: str, usual_store: str) -> Named:
    """Read `latest`, an id or its beginning (in the usual store), `gpu.db::latest`, `gpu.db` (its latest run), a
    database's URL likewise, each with the name of a host before it if wanted: `g6=gpu.db`. A file whose name holds = or
    :: is written with its folder and its run, as in `./a=b.db::latest`."""
    named = _HOST.fullmatch(text)
    host, rest = (named["host"], named["rest"]) if named else ("", text)
    there = _IN_STORE.fullmatch(rest)
    if there:
        return Named(host, there["store"], there["run"])
    if "://" in rest or Path(rest).is_file():
        return Named(host, rest, LATEST)
    return Named(host, usual_store, rest)
