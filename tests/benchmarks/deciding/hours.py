"""A choice held against later hours: all contenders measured again, and what the choice loses against the best then.

A line of text a repeat, so that the hours may lie days apart, and a later checkout goes on with the same choice; on
another CPU, where another engine may be the best, a choice of its own is made first.
"""

from __future__ import annotations

import csv
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from proofs.machine import cpu
from proofs.proof import Proof

from bakeoff.decide.court import convene
from bakeoff.store.record import ScenarioRecord
from deciding.asked import Asked
from deciding.regrets import regret

LIKE = 0.05
AT_LEAST = 0.95
BETWEEN = "; "


@dataclass(frozen=True, slots=True)
class Hour:
    """A repeat: when it `began` and on which CPU, the choice and all `contenders` measured there, the `best` of them
    and by how much the choice is dearer (a fraction, with its interval; infinite where `why` says what it missed)."""

    began: datetime
    cpu: str
    choice: str
    contenders: tuple[str, ...]
    best: str
    regret: float
    low: float
    high: float
    why: str

    @classmethod
    def of(cls, record: ScenarioRecord, began: datetime, choice: str, contenders: Sequence[str]) -> Self:
        """What a run of the contenders says."""
        found = regret(record, choice)
        figures = (found.value, found.low, found.high)
        return cls(began, cpu(), choice, tuple(contenders), found.best or "", *figures, found.why)

    @classmethod
    def read(cls, row: dict[str, str]) -> Self:
        """A line of the file."""
        began, names = datetime.fromisoformat(row["began"]), tuple(row["contenders"].split(BETWEEN))
        value, low, high = (float(row[name]) for name in ("regret", "low", "high"))
        return cls(began, row["cpu"], row["choice"], names, row["best"], value, low, high, row["why"])

    def row(self) -> list[str]:
        """Its line in the file."""
        began, there, choice, names, best, *numbers, why = astuple(self)
        figures = map("{:.4f}".format, numbers)
        return [began.isoformat(timespec="seconds"), there, choice, BETWEEN.join(names), best, *figures, why]


def hours(asked: Asked) -> Proof:
    """One repeat more (or all of them, with a time between), and the regrets of all so far."""
    found = read(asked.hours)
    here = [hour for hour in found if hour.cpu == cpu()]
    if here:
        choice, names, last = here[0].choice, list(here[0].contenders), here[-1].began
    else:
        choice, first = asked.chosen()
        last, names = first.record().started_at, contenders(first.record().scenarios[0], choice, asked.contenders)
    for hour in repeated(asked, choice, names, last, asked.repeats - len(found)):
        found.append(hour)
        write(asked.hours, found)
        sys.stderr.write(f"{len(found)} of {asked.repeats} repeats\n")
    return judged(found, asked.repeats)


def judged(found: Sequence[Hour], repeats: int) -> Proof:
    """What these hours say of the choice."""
    begun, values = [hour.began for hour in found], [hour.regret for hour in found]
    good, span_h = sum(value <= LIKE for value in values), (max(begun) - min(begun)).total_seconds() / 3600.0
    enough = math.ceil(AT_LEAST * repeats)
    return Proof(
        f"{_choices(found)}, against the best of all contenders at other hours",
        f"at most {LIKE:.0%} regret in {enough} of {repeats} hours",
        f"{good} of {len(found)} over {span_h:.1f} h (regret {statistics.median(values):.1%} in the median,"
        f" {max(values):.1%} at most; the best itself in {sum(hour.best == hour.choice for hour in found)})",
        good >= enough,
        {f"regret_{number}": hour.regret for number, hour in enumerate(found)}
        | {f"best_{number}": hour.best for number, hour in enumerate(found)}
        | {f"why_{number}": hour.why for number, hour in enumerate(found) if hour.why},
    )


def _choices(found: Sequence[Hour]) -> str:
    made = {hour.cpu: hour.choice for hour in found}
    told = " and ".join(sorted(set(made.values())))
    return f"{told}, chosen once" if len(made) == 1 else f"{told}, chosen once on each of {len(made)} CPUs"


def contenders(record: ScenarioRecord, choice: str, most: int) -> list[str]:
    """The choice, and the cheapest of those that missed no gate, whether or not the race dropped them."""
    court = convene(record)
    scored = sorted(
        (score, name)
        for name, one in court.evidence.items()
        if court.gates[name].status != "failed" and name != choice and (score := one.mean_score) is not None
    )
    return [choice, *(name for _, name in scored[: most - 1])]


def repeated(asked: Asked, choice: str, names: Sequence[str], last: datetime, missing: int) -> Iterator[Hour]:
    """The repeats of this call: one, or as many as are `missing`, with a time between them."""
    for _ in range(missing if math.isfinite(asked.every_s) else min(1, missing)):
        _wait(asked, last)
        question = asked.question(names, exhaustive=True, incumbent=None)
        run = asked.hold(f"hour-{datetime.now(UTC):%Y%m%dT%H%M%S}", question, asked.hour_s)
        last = run.record().started_at
        yield Hour.of(run.record().scenarios[0], last, choice, names)


def read(place: Path) -> list[Hour]:
    """The hours in a file, none where there is no file."""
    if not place.exists():
        return []
    with place.open(encoding="utf-8", newline="") as lines:
        return [Hour.read(row) for row in csv.DictReader(lines)]


def write(place: Path, found: Sequence[Hour]) -> None:
    """All hours as a text table."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Hour))
        writer.writerows(hour.row() for hour in found)


def _wait(asked: Asked, last: datetime) -> None:
    """Until another hour has come; raises SystemExit where nobody asked to wait for it."""
    ago = datetime.now(UTC) - last
    if math.isfinite(asked.every_s):
        time.sleep(max(0.0, max(asked.every_s, asked.apart_s) - ago.total_seconds()))
    elif ago < timedelta(seconds=asked.apart_s):
        minutes = ago.total_seconds() / 60
        raise SystemExit(f"the run before began {minutes:.0f} min ago; wait until it is {asked.apart_s / 60:.0f}")
