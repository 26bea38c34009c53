"""The self-test's findings for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from bakeoff.selftest.against import Compared, Tool
from bakeoff.selftest.alone import SHARES, Found
from bakeoff.show.numbers import ABSENT, number, percent
from bakeoff.show.terminal import empty_table, standard_output, texts

_FIGURES = {
    "p50_error_us": "error of p50",
    "p99_error_us": "error of p99",
    "lateness_p50_us": "lateness p50",
    "lateness_p99_us": "lateness p99",
}


def render(found: Found, console: Console | None = None) -> None:
    """Our percentiles beside the truth, the stalled service, and what the machine can resolve now."""
    to = console or standard_output()
    to.print(
        f"A service of {number(found.service_ms)} ms, at most {number(found.capacity_qps)} requests a second. "
        f"The generator had {_had(found.own_cpu, _realtime(found))}."
    )
    rows = []
    for load in found.loads:
        for name in ("p50", "p99"):
            reported, true = load.median(f"{name}_ms"), load.median(f"true_{name}_ms")
            error_us, late_us = load.median(f"{name}_error_us"), load.median(f"lateness_{name}_us")
            rows.append([f"{load.share:.0%}", name, _ms(reported), _ms(true), _us(error_us), _us(late_us)])
    to.print(_table(("load", "", "reported", "true", "error", "generator late"), rows))
    stall = found.stall
    to.print(
        f"The service stalls once for {number(stall.stall_ms)} ms at {SHARES[-1]:.0%} load: a closed loop reports a "
        f"p99 of {_ms(stall.closed_p99_ms)}, the open loop {_ms(stall.open_p99_ms)}, true is {_ms(stall.true_p99_ms)}."
    )
    to.print(found.resolves)


def render_compared(compared: Compared, console: Console | None = None) -> None:
    """Both generators' figures side by side with their ratios, medians over the repeats."""
    to = console or standard_output()
    to.print(
        f"One worker, a service of {number(compared.service_ms)} ms, {compared.repeats} blocks of each generator at "
        f"each load, in turn, on LoadGen's schedules. Medians; errors against Lindley's recursion."
    )
    rows = []
    for share in SHARES:
        mine, theirs = compared.ours.figures([share]), compared.loadgen.figures([share])
        ratios = compared.ratios([share])
        for name, words in _FIGURES.items():
            ratio = number(ratios[name.removesuffix("_us")])
            rows.append([f"{share:.0%}", words, _us(mine[name]), _us(theirs[name]), ratio])
    rates = [tool.rate_qps for tool in (compared.ours, compared.loadgen)]
    rows.append([ABSENT, "highest rate sent", *(f"{number(rate)}/s" for rate in rates), number(rates[0] / rates[1])])
    to.print(_table(("load", "", "bakeoff", "LoadGen", "ratio"), rows))
    for tool in (compared.ours, compared.loadgen):
        to.print(f"{tool.name} had {_had(compared.own_cpu, tool.realtime)}{_way(tool, compared)}.")
    own, foreign = (percent(tool.own_schedule_rate_error()) for tool in (compared.ours, compared.loadgen))
    to.print(
        f"The schedules that each draws itself miss the rate asked for by {own} (bakeoff's, which were not played "
        f"here) and {foreign} (LoadGen's)."
    )


def _way(tool: Tool, compared: Compared) -> str:
    if tool is compared.ours:
        return "; it writes request numbers into the worker's pipe and reads the worker's stamps"
    return "; issue_query writes into the same pipe, a thread takes the answers and calls QuerySamplesComplete"


def _had(own_cpu: bool, realtime: bool) -> str:
    cpu = "a CPU of its own" if own_cpu else "no CPU of its own"
    return f"{cpu} and {'real-time priority' if realtime else 'no real-time priority (it is not permitted here)'}"


def _realtime(found: Found) -> bool:
    return all(reading.realtime for load in found.loads for reading in load.readings)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = empty_table()
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*texts(*row))
    return table


def _ms(value: float) -> str:
    return f"{number(value)} ms"


def _us(value: float) -> str:
    return f"{number(value)} µs"
