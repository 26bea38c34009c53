"""What `bakeoff quality` tells a terminal: a row for each variant, what it loses, and what it saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console

from bakeoff.show.numbers import ABSENT
from bakeoff.show.terminal import empty_table, standard_output, texts
from bakeoff.store.record import Quality

_WIDTH = 160


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
    """Print the rows as a table, the metrics' losses with their 95 % intervals."""
    console = console or standard_output(_WIDTH)
    metrics = list(dict.fromkeys(each.metric for row in rows for each in row.quality))
    table = empty_table()
    for title in ("Variant", "Engine", *metrics):
        table.add_column(title)
    for title in ("Parameters", "Disk", "zstd", "Load"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*texts(row.variant, f"{row.backend} {row.precision}", *_cells(row, metrics), *_sizes(row.model)))
    console.print(table)
    if metrics:
        console.print(
            "Each metric: its value, and what it is above the base's by, with the 95 % interval over examples."
        )
    for line in _notes(rows):
        console.print(line)


def render_techniques(listed: Iterable[tuple[str, str]], console: Console | None = None) -> None:
    """Print how each technique is written, and what it does."""
    console = console or standard_output(_WIDTH)
    table = empty_table()
    table.add_column("Technique")
    table.add_column("What it does")
    for usage, about in listed:
        table.add_row(*texts(usage, about))
    console.print(table)
    console.print("One after the other: 'distill > embed-int8'. At one precision alone: 'distill > int8-dynamic'.")


def _cells(row: Row, metrics: Iterable[str]) -> list[str]:
    by_name = {each.metric: each for each in row.quality}
    seeds = {each.metric: [one[place].delta for one in row.by_seed if one] for place, each in enumerate(row.quality)}
    if row.outcome != "ok":
        return [f"{row.outcome}: {row.reason}", *[ABSENT for _ in metrics][1:]]
    return [_cell(by_name[name], seeds[name]) if name in by_name else ABSENT for name in metrics]


def _cell(quality: Quality, deltas: Sequence[float]) -> str:
    told = f"{quality.value:.4f} {change(quality)}"
    return f"{told}\nseeds {_signed(min(deltas))} to {_signed(max(deltas))}" if deltas else told


def change(quality: Quality) -> str:
    """The change with its interval, such as "-0.0012 [-0.0015, -0.0009]"."""
    return f"{_signed(quality.delta)} [{_signed(quality.low)}, {_signed(quality.high)}]"


def _signed(value: float) -> str:
    """With its sign, but for what rounds to nothing."""
    return f"{round(value, 4):+.4f}" if round(value, 4) else "0"


def _sizes(model: Mapping[str, Any]) -> list[str]:
    parameters = model.get("parameters")
    sizes = [_megabytes(model.get(name)) for name in ("artifact_bytes", "artifact_zstd_bytes")]
    load_s = model.get("load_s")
    return [
        ABSENT if parameters is None else f"{parameters:,}",
        *sizes,
        ABSENT if load_s is None else f"{load_s:.2f} s",
    ]


def _megabytes(size: int | None) -> str:
    return ABSENT if size is None else f"{size / 1e6:,.2f} MB"


def _notes(rows: Iterable[Row]) -> Iterable[str]:
    for row in rows:
        if row.control and row.beyond_control:
            told = ", ".join(f"{each.metric} {change(each)}" for each in row.beyond_control)
            yield f"{row.variant} against its control {row.control}, which was trained alike: {told}"
