"""What `bakeoff join` shows: each scenario's hosts and candidates by cost, and where the cheaper host changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bakeoff.decide.across import words
from bakeoff.decide.across.joining import Across, Joined
from bakeoff.decide.across.sides import Row, Side
from bakeoff.show import views
from bakeoff.show.gates import change_words
from bakeoff.show.numbers import ABSENT, exact, interval, money, number, shorten
from bakeoff.show.scale import fitting
from bakeoff.show.sheet import Grid, Sheet

_MOST_OTHERS = 8
"""How many that did not pass their gates are shown; `bakeoff verdict` has all of each run."""
_ONE_RUN_EACH = (
    "Each host was measured in a run of its own: the intervals hold what differs from round to round there, and not"
    " what differs from day to day."
)


def sheets(found: Across) -> list[Sheet]:
    """A sheet for each scenario, then what holds over several, and what stands alone."""
    lines = [words.crossing(one) for one in found.crossings]
    lines += [f"Only on {host}: {', '.join(names)}." for host, names in found.alone.items() if names]
    return [*map(_scenario, found.scenarios), Sheet("Over all", notes=(*lines, _ONE_RUN_EACH))]


def _scenario(joined: Joined) -> Sheet:
    others = sum(row.judged.outcome != "ok" for row in joined.rows) - _MOST_OTHERS
    more = f"{others} more that did not pass their gates: `bakeoff verdict` shows them by run." if others > 0 else ""
    notes = (*(words.break_even(one) for one in joined.break_evens), *joined.notes, more)
    title = f"{joined.scenario}: {_question(joined.sides)}"
    return Sheet(
        title, joined.headline, (_hosts(joined.sides), *_tables(joined)), tuple(note for note in notes if note)
    )


def _question(sides: Sequence[Side]) -> str:
    """What was asked of all: the rate that a replica is driven at may be each host's own, and then is none of it."""
    verdict = sides[0].verdict
    if len({one.verdict.traffic.get("rate") for one in sides}) > 1:
        verdict = replace(verdict, traffic={**verdict.traffic, "rate": None, "open_loop": False})
    return views.question(verdict)


def _hosts(sides: Sequence[Side]) -> Grid:
    titles = ("host", "machine", "a replica holds", "price", "verdict there", "run")
    return Grid(titles, tuple(_host(one) for one in sides))


def _host(one: Side) -> tuple[str, ...]:
    host, price, asked = one.host, one.price, one.court.scenario.resources
    cores = f"{host.cores} cores" if host.cores else ""
    machine = [host.product, host.cpu, cores, *dict.fromkeys(host.gpus)]
    holds = f"{one.gpus} GPU{'s' * (one.gpus > 1)}, " if one.gpus else ""
    return (
        host.name,
        ", ".join(part for part in machine if part),
        f"{holds}{one.court.cpus} core{'s' * (one.court.cpus != 1)}{'' if asked.cpus else ' (as measured)'}",
        f"{exact(price.amount)} {price.currency}/{price.per}" if price else ABSENT,
        " ".join(word for word, _ in views.badges(one.verdict)),
        host.run,
    )


def _tables(joined: Joined) -> list[Grid]:
    """One table, or one for each host where their costs have no common unit."""
    accepted = [row for row in joined.rows if row.judged.outcome == "ok"]
    shown = [*accepted, *[row for row in joined.rows if row.judged.outcome != "ok"][:_MOST_OTHERS]]
    if not joined.not_comparable:
        return [_table(shown, joined, joined.sides[0])] if shown else []
    by_host = [([row for row in shown if row.host == one.host.name], one) for one in joined.sides]
    return [_table(rows, joined, one) for rows, one in by_host if rows]


def _table(rows: Sequence[Row], joined: Joined, one: Side) -> Grid:
    costs = [row.judged.cost for row in rows if row.judged.cost is not None]
    factor, unit = fitting(costs, one.verdict.cost_unit)
    capacity = "capacity" if one.court.scenario.traffic.open_loop else "items/s"
    titles = (
        "#",
        "host",
        "candidate",
        f"{unit}",
        "against the first",
        capacity,
        "replicas",
        "a year",
        "quality",
        "outcome",
    )
    cells = tuple(_cells(place, row, joined, factor) for place, row in enumerate(rows, start=1))
    return Grid(titles, cells, frozenset({0, 3, 5, 6, 7}), frozenset({0}) if joined.cheapest else frozenset())


def _cells(place: int, row: Row, joined: Joined, factor: float) -> tuple[str, ...]:
    one, side = row.judged, next(each for each in joined.sides if each.host.name == row.host)
    verdict = side.verdict
    low, high = (None if end is None else end * factor for end in (one.cost_low, one.cost_high))
    ends = interval(low, high)
    cost = number(None if one.cost is None else one.cost * factor)
    live = side.court.scenario.traffic.open_loop
    held = [quality for name, quality in one.quality.items() if name in verdict.floors]
    fate = views.fate(one, verdict)
    return (
        str(place),
        row.host,
        shorten(one.candidate, 90),
        f"{cost} [{ends}]" if ends else cost,
        words.over(row),
        number(one.capacity_qps if live else one.items_per_s),
        f"{one.replicas:,}" if one.replicas else ABSENT,
        money(one.yearly_cost, verdict.currency),
        change_words(held or list(one.quality.values())[:1]),
        "choice there" if fate == "choice" else fate,
    )
