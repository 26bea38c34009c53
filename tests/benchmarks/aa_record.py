"""Records sessions of candidates beside their pins, which are the same, under load from outside, for false_alarms.py.

    python tests/benchmarks/aa_record.py [--baseline results/baseline] [--sessions 60] [--file results/evidence/aa.csv]

Both sides in fresh processes, as `bakeoff check` starts them; pin what is here now first (`bakeoff pin`). Every
candidate has its first session, then every one its second. A line is on disk when its session ends; what is in the
file is not measured again. With eight pins and 60 sessions: two hours.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np
from aa import Floats, Together, append, read
from false_alarms import FILE
from proofs import children
from proofs.pinned import pinned
from proofs.twins import outside_load

from bakeoff.decide import stamps
from bakeoff.decide.drift.answers import SERVICE_TIME
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine, Order
from bakeoff.nightly import pin_files
from bakeoff.nightly.session import Sides, play

SESSIONS = 60


def beside_itself(sides: Sides, number: int) -> Together:
    """A session of what is here now beside its pin, which is the same. Raises SideFailed."""
    times: dict[bool, list[Floats]] = {True: [], False: []}
    with _watched(lambda order, block: times[order is sides.now].append(1e6 * stamps.service_s(block))):
        session = play(sides, "screen", number)
    baseline, mine = (np.concatenate(times[side]) for side in (False, True))
    return Together(session.at or datetime.now(UTC), session.changes[SERVICE_TIME], baseline, mine)


@contextmanager
def _watched(seen: Callable[[Order, Block], None]) -> Iterator[None]:
    """Show all closed-loop blocks that any engine plays meanwhile."""
    closed = Engine.closed

    def watching(engine: Engine, *words: float, **named: int) -> Block:
        block = closed(engine, *words, **named)  # type: ignore[arg-type]
        seen(engine.order, block)
        return block

    with mock.patch.object(Engine, "closed", watching):
        yield


def record(benchmarks: Mapping[str, Sides], sessions: int, file: Path) -> None:
    """Up to so many sessions of each, in turn; goes on after those that the file holds."""
    known = {name: len(found) for name, found in read(file).items()} if file.exists() else {}
    for number in range(1, sessions + 1):
        for name, sides in benchmarks.items():
            if number > known.get(name, 0):
                session = beside_itself(sides, number)
                append(file, name, number, session)
                sys.stdout.write(f"{session.at:%H:%M} {name} {number} of {sessions}: {session.change:+.2%}\n")
                sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> None:
    """Record all pinned candidates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, default=pin_files.DEFAULT_FOLDER, help="the folder of the pins")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--file", type=Path, default=FILE)
    asked = parser.parse_args(words)
    os.environ["PYTHONPATH"] = children.environment()["PYTHONPATH"]
    with tempfile.TemporaryDirectory(prefix="bakeoff-aa-") as logs:
        found = pinned(asked.baseline, Path(logs))
        with outside_load():
            record({case.name: case.sides for case in found if case.sides}, asked.sessions, asked.file)


if __name__ == "__main__":
    main()
