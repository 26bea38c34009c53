"""What `bakeoff quality` tells a terminal: a row for each variant, what it loses, and what it saves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bakeoff.backends import FP32
from bakeoff.candidates import BASE
from bakeoff.show.numbers import ABSENT, percent
from bakeoff.show.terminal import empty_table, standard_output, texts
from bakeoff.store.record import OK, Quality

_WIDTH = 160
_EVER_SO_WIDE = 10_000
_SOME_ZEROS = 0.05
"""The share of zeros from which on they are told: a padding row of a table is none of anyone's interest."""


class Row(Protocol):
    """One variant at one precision on one backend; see contest.appraisal.Row."""

    @property
    def variant(self) -> str:
        """The variant's name."""

    @property
    def precision(self) -> str:
        """The engine's precision."""

    @property
    def backend(self) -> str:
        """The engine that scored."""

    @property
    def outcome(self) -> str:
        """ "ok", or where it ended."""

    @property
    def reason(self) -> str:
        """Why it ended there."""

    @property
    def quality(self) -> tuple[Quality, ...]:
        """Against the base."""

    @property
    def model(self) -> Mapping[str, Any]:
        """Parameters, bytes and seconds."""

    @property
    def control(self) -> str:
        """The variant that was trained alike and not compressed."""

    @property
    def beyond_control(self) -> tuple[Quality, ...]:
        """Against that variant."""

    @property
    def by_seed(self) -> tuple[tuple[Quality, ...], ...]:
        """Against the base, for each training seed."""


def render(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the rows, the metrics' losses with their 95 % intervals: as a table where it fits, else one by one."""
    console = console or standard_output(_WIDTH)
    metrics = list(dict.fromkeys(each.metric for row in rows for each in row.quality))
    tables = [_table(rows, metrics, between) for between in (" ", "\n")]
    fitting = next((table for table in tables if _width(table, console) <= console.width), None)
    if fitting is not None:
        console.print(fitting)
        console.print()
    else:
        _stack(rows, metrics, console)
    if metrics:
        told = "its value, and below it" if fitting is not None else "its value, and"
        console.print(f"Each metric: {told} what it is above the base's by, with the 95 % interval over examples.")
    for line in [*(_refusals(rows) if fitting is not None else ()), *_controls(rows)]:
        console.print(Text(line))


def render_techniques(listed: Iterable[tuple[str, str]], console: Console | None = None) -> None:
    """Print how each technique is written, and what it does."""
    console = console or standard_output(_WIDTH)
    table = empty_table()
    table.add_column("Technique", overflow="fold")
    table.add_column("What it does", overflow="fold", ratio=1)
    for usage, about in listed:
        table.add_row(*texts(usage, about))
    console.print(table)
    console.print("One after the other: 'distill > embed-int8'. At one precision alone: 'distill > int8-dynamic'.")


def _table(rows: Iterable[Row], metrics: Sequence[str], between: str) -> Table:
    """A row for each variant, a column for each metric; `between` parts a change from its interval."""
    table = empty_table()
    table.leading = 1
    for title in ("Variant", "Engine", *(metrics or ["Outcome"])):
        table.add_column(title)
    for title in ("Parameters", "Disk", "zstd", "Load"):
        table.add_column(title, justify="right")
    for row in rows:
        engine = f"{row.backend}\n{row.precision}"
        table.add_row(
            *texts(row.variant.replace("+", "+\n"), engine, *_cells(row, metrics, between), *_sizes(row.model))
        )
    return table


def _width(table: Table, console: Console) -> int:
    """What the table takes where nothing is cut or folded."""
    return Measurement.get(console, console.options.update_width(_EVER_SO_WIDE), table).maximum


def _cells(row: Row, metrics: Sequence[str], between: str) -> list[str]:
    if row.outcome != OK or not metrics:
        return [row.outcome, *[ABSENT for _ in metrics][1:]]
    figures = {quality.metric: [f"{quality.value:.4f}", *changes] for quality, changes in _changes(row, between)}
    return ["\n".join(figures.get(name, [ABSENT])) for name in metrics]


def _stack(rows: Iterable[Row], metrics: Iterable[str], console: Console) -> None:
    """A paragraph for each row, a line for each of its metrics: for narrow terminals."""
    longest = max(map(len, metrics), default=0)
    for row in rows:
        console.print(Text(f"{row.variant} on {row.backend} {row.precision}", style="bold"))
        if row.outcome != OK:
            console.print(Padding(Text(f"{row.outcome}: {row.reason}"), (0, 0, 1, 2)))
            continue
        lines = Table.grid(padding=(0, 2))
        lines.add_column(min_width=longest)
        for quality, changes in _changes(row, " "):
            lines.add_row(*texts(quality.metric, f"{quality.value:.4f}", "\n".join(changes)))
        console.print(Padding(lines, (0, 0, 0, 2)))
        console.print(Padding(Text(_sizes_in_words(row.model)), (0, 0, 1, 2)))


def _changes(row: Row, between: str) -> Iterator[tuple[Quality, list[str]]]:
    """Each metric's change, and the span of the seeds' changes: of its own values where it is the base beside itself,
    which changes nothing."""
    for place, quality in enumerate(row.quality):
        itself = _is_itself(row, quality)
        seeds = sorted(one[place].value if itself else one[place].delta for one in row.by_seed if one)
        told = [] if itself else [change(quality, between)]
        if seeds:
            first, last = (f"{end:.4f}" if itself else _signed(end) for end in (seeds[0], seeds[-1]))
            told.append(f"seeds {first}{between}to {last}")
        yield quality, told


def _is_itself(row: Row, quality: Quality) -> bool:
    """Whether it is the base beside itself."""
    ends = (quality.delta, quality.low, quality.high)
    return (row.variant, row.precision) == (BASE, FP32) and not any(round(end, 4) for end in ends)


def change(quality: Quality, between: str = " ") -> str:
    """The change with its interval, such as "-0.0012 [-0.0015, -0.0009]"."""
    return f"{_signed(quality.delta)}{between}[{_signed(quality.low)}, {_signed(quality.high)}]"


def _signed(value: float) -> str:
    """With its sign, but for what rounds to nothing; a dash for what is no number."""
    if math.isnan(value):
        return ABSENT
    return f"{round(value, 4):+.4f}" if round(value, 4) else "0"


def _sizes(model: Mapping[str, Any]) -> list[str]:
    """Parameters, with their zeros below them, bytes as they lie on disk and compressed, and seconds to load."""
    parameters, load_s = model.get("parameters"), model.get("load_s")
    counted = ABSENT if parameters is None else f"{parameters:,}"
    return [
        f"{counted}\n{zeros}" if (zeros := _zeros(model)) else counted,
        *(_size(model.get(name)) for name in ("artifact_bytes", "artifact_zstd_bytes")),
        ABSENT if load_s is None else f"{load_s:.2f} s",
    ]


def _sizes_in_words(model: Mapping[str, Any]) -> str:
    numbers, disk, zstd, load = _sizes(model)
    numbers, break_, zeros = numbers.partition("\n")
    told = [f"{numbers} parameters{break_ and ', '}{zeros}", f"disk {disk}", f"zstd {zstd}", f"load {load}"]
    return " · ".join(told)


def _zeros(model: Mapping[str, Any]) -> str:
    """ "48 % zeros", where there are some to speak of."""
    parameters, nonzero = model.get("parameters"), model.get("nonzero")
    if not parameters or nonzero is None or nonzero > parameters * (1.0 - _SOME_ZEROS):
        return ""
    return f"{percent(1.0 - nonzero / parameters)} zeros"


def _size(size_bytes: int | None) -> str:
    """In MB, what is below a tenth of one in kB."""
    if size_bytes is None:
        return ABSENT
    return f"{size_bytes / 1e6:,.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.1f} kB"


def _refusals(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if row.outcome != OK:
            yield f"{row.variant} on {row.backend} {row.precision}: {row.outcome}: {row.reason}"


def _controls(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if row.control and row.beyond_control:
            told = ", ".join(f"{each.metric} {change(each)}" for each in row.beyond_control)
            yield f"{row.variant} against its control {row.control}, which was trained alike: {told}"
