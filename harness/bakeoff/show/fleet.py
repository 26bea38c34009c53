"""What `bakeoff plan` tells a terminal: the fleet at its peak, with replicas lost, over a day, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakeoff.decide.fleet.planning import Plan
from bakeoff.decide.fleet.simulation import Served
from bakeoff.show.numbers import ABSENT, clean, duration, exact, money, ms, number, percent, percentile_name, shorten
from bakeoff.show.terminal import empty_table, standard_output, texts

OVERLOADED = "overloaded"
APART = 0.05
"""From so large a difference on, the simulation and the capacity are told apart."""


def render(plan: Plan, console: Console | None = None) -> None:
    """The peak first, then the day by its hours, then the cost and what all of it rests on."""
    to = console or standard_output()
    tail = percentile_name(plan.percentile)
    title = Text(f"{clean(plan.scenario)}: ", style="bold")
    title.append(shorten(plan.candidate, 80), style="bold")
    to.print(title)
    asked = f"{exact(plan.fleet_qps)} requests/s at the peak · {plan.balancing} balancing"
    to.print(Text(f"{asked} · {tail} within {exact(plan.limit_ms)} ms", style="dim"))
    to.print()
    to.print(_peak(plan, tail))
    to.print()
    to.print(_day(plan, tail))
    to.print()
    for line in _closing(plan, tail):
        to.print(Text(f"- {line}"))


def _table(*titles: str) -> Table:
    table = empty_table()
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left", no_wrap=place > 0)
    return table


def _peak(plan: Plan, tail: str) -> Table:
    table = _table("at the peak", "replicas", "lanes busy", "p50", tail, f"over {exact(plan.limit_ms)} ms")
    if plan.fewest is not None:
        table.add_row(*_row("fewest that hold the SLA", plan.fewest))
    planned = "planned" if plan.peak.replicas == plan.formula else "asked for"
    table.add_row(*_row(planned, plan.peak), style="bold")
    if plan.without is not None:
        table.add_row(*_row(f"{plan.lost} lost, for good", plan.without))
    if plan.outage is not None:
        out = plan.outage
        name = f"{out.lost} lost, until started anew ({duration(out.seconds)})"
        cells = (f"{out.replicas:,}", ABSENT, ABSENT, _tail(out.p99_ms, out.p99_error_ms, "none left"))
        table.add_row(*texts(name, *cells, percent(out.over)))
    return table


def _row(name: str, served: Served) -> list[Text]:
    tail = _tail(served.p99_ms, served.p99_error_ms, OVERLOADED)
    figures = (f"{served.replicas:,}", percent(served.utilisation), ms(served.p50_ms), tail, percent(served.over))
    return texts(name, *figures)


def _tail(value_ms: float | None, error_ms: float | None, otherwise: str) -> str:
    if value_ms is None:
        return otherwise
    return f"{number(value_ms)} ± {number(error_ms, 2)} ms"


def _day(plan: Plan, tail: str) -> Table:
    """By the hour; the worst one stands out."""
    table = _table("hour", "requests/s", "replicas", "lanes busy", tail)
    for hour, served in enumerate(plan.hours):
        figures = (number(served.qps), f"{served.replicas:,}", percent(served.utilisation))
        cells = (f"{hour:02d}", *figures, ms(served.p99_ms) if served.p99_ms is not None else OVERLOADED)
        table.add_row(*texts(*cells), style="bold" if hour == plan.worst_hour else "")
    return table


def _closing(plan: Plan, tail: str) -> Iterator[str]:
    yield from map(clean, plan.doubts)
    yield _formula(plan)
    if plan.fewest is None:
        yield f"no number of replicas holds {tail} within {exact(plan.limit_ms)} ms in the simulation"
    else:
        yield from _apart(plan, plan.fewest)
    yield from _cost(plan)
    worst = plan.hours[plan.worst_hour]
    reached = OVERLOADED if worst.p99_ms is None else f"{tail} {_tail(worst.p99_ms, worst.p99_error_ms, '')}"
    assumed = "; the day is an assumption, --trace FILE takes yours" if plan.assumed_day else ""
    yield f"the worst hour of a day scaled by the hour is {plan.worst_hour:02d}: {reached}{assumed}"
    if plan.outage is not None and plan.outage.held is not None:
        yield f"what is lost takes about {number(plan.outage.held, 2)} unanswered requests with it"
    known = next((one for one in (plan.peak, *plan.tried) if one.simulated), None)
    if known is not None:
        yield (
            f"simulated with {known.simulated:,} of {known.replicas:,} replicas, {known.requests:,} requests a line,"
            " by the measured service times; ± is the simulation's own error (95 %)"
        )


def _formula(plan: Plan) -> str:
    kind = "measured" if plan.capacity_measured else "replayed"
    rate = f"{number(plan.capacity_qps)} requests/s a replica ({kind})"
    return (
        f"{plan.formula:,} replicas by the formula: {percent(plan.headroom)} headroom over {rate}, {plan.spare} spare"
    )


def _apart(plan: Plan, fewest: Served) -> Iterator[str]:
    """Where the capacity says another number than the simulation."""
    by_capacity = plan.fleet_qps / plan.capacity_qps
    off = fewest.replicas / by_capacity - 1.0
    if abs(off) > APART and abs(fewest.replicas - by_capacity) >= 1.0:
        told = f"{percent(abs(off))} {'more' if off > 0 else 'fewer'} than the capacity says ({number(by_capacity)})"
        yield f"the fewest that hold the SLA are {told}: the plan keeps to the capacity"


def _cost(plan: Plan) -> Iterator[str]:
    hour, day, year, scaled = plan.hour_cost, plan.day_cost, plan.year_cost, plan.scaled_day_cost
    if hour is None or day is None or year is None or scaled is None:
        yield "the cost is not known: nobody says what cores a replica holds"
        return
    sums = " · ".join(
        f"{money(sum_, plan.unit)} {what}" for sum_, what in ((hour, "an hour"), (day, "a day"), (year, "a year"))
    )
    yield f"{plan.peak.replicas:,} replicas held all day: {sums}"
    less = f"{percent(abs(1.0 - scaled / day))} {'less' if scaled <= day else 'more'}"
    yield f"scaled by the hour: {money(scaled, plan.unit)} a day, {less}"
