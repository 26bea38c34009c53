"""What the terminal shows: verdicts, the doctor's findings, conformance checks, a dry run's plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.show import views
from bakeoff.show.endpoints import endpoint_words
from bakeoff.show.gates import Gate, change_words, gates, subject
from bakeoff.show.measuring import preparation_words
from bakeoff.show.numbers import ABSENT, clean, duration, ms, shorten
from bakeoff.show.progress import Progress
from bakeoff.show.provenance import flat_facts, noise_facts
from bakeoff.show.scale import readable
from bakeoff.show.terminal import broken_names, empty_table, standard_output, texts
from bakeoff.show.today import saving_words

if TYPE_CHECKING:
    from bakeoff.conformance.suite import Check

__all__ = ["Progress", "render", "render_conformance", "render_doctor", "render_plan"]

_BADGE_STYLES = {
    "WIN": "bold white on blue",
    "TIE": "bold blue",
    "INFEASIBLE": "bold white on red",
    "INSUFFICIENT": "bold red",
    "PROVISIONAL": "bold black on yellow",
}
_STANDING_STYLES = {"choice": "bold", "set": "bold", "miss": "red", "out": "red"}
_WIDE, _MIDDLE = 130, 96


class Planned(Protocol):
    """A line of a dry run."""

    @property
    def scenario(self) -> str:
        """The scenario's name."""

    @property
    def candidate(self) -> str:
        """The candidate's id."""

    @property
    def outcome(self) -> str:
        """ "planned", or why not in a word."""

    @property
    def reason(self) -> str:
        """Why not, in a sentence."""

    @property
    def seconds(self) -> float:
        """A guess at the time it takes."""


def render(verdicts: Iterable[Verdict], console: Console | None = None) -> None:
    """Each scenario's verdict: the headline first, then the gates, then every candidate with its why-not."""
    to = console or standard_output()
    for verdict in verdicts:
        _render_one(readable(verdict), to)


def render_doctor(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Each backend with its version or its remedy; the machine, its software, and how restless it is now."""
    to = console or standard_output()
    table = _table("Backend", "Here?", "Version, or what to do")
    for one in found["backends"]:
        here = bool(one.get("available"))
        answer = Text("yes") if here else Text("no", style="bold red")
        table.add_row(*texts(clean(one.get("backend")), answer, _version(one) if here else _remedy(one)))
    to.print(table)
    _facts(to, "This machine", flat_facts(found["host"]))
    _facts(to, "Its software", flat_facts(found["environment"]))
    _facts(to, "How it measures", flat_facts(found["measuring"]))
    _facts(to, "Its noise now", noise_facts(found["noise"]))
    to.print(Text("`bakeoff selftest` measures what differences in latency can be told apart here now", style="dim"))


def render_conformance(backend: str, checks: Iterable[Check], console: Console | None = None) -> None:
    """Each check with its result, the failures' reasons, and a closing count."""
    to = console or standard_output()
    to.print(Text(clean(backend), style="bold"))
    done = list(checks)
    table = _table("Check", "Result", "Why")
    for check in done:
        result = Text("ok") if check.ok else Text("FAILED", style="bold red")
        table.add_row(*texts(clean(check.name), result, clean(check.detail)))
    to.print(table)
    failed = sum(not check.ok for check in done)
    to.print(Text(f"{failed} of {len(done)} checks failed" if failed else f"all {len(done)} checks pass", style="bold"))


def render_plan(rows: Iterable[Planned], console: Console | None = None) -> None:
    """The candidates of a dry run with the time that each takes, and the sum."""
    to = console or standard_output()
    planned = list(rows)
    table = _table("Scenario", "Candidate", "Time", "Note")
    table.columns[2].justify = "right"
    for row in planned:
        note = clean(row.reason) or ("" if row.outcome == "planned" else clean(row.outcome))
        time = duration(row.seconds) if row.seconds else ABSENT
        table.add_row(*texts(clean(row.scenario), clean(row.candidate), time, Text(note, style="dim")))
    to.print(table)
    able = [row for row in planned if row.seconds]
    total = duration(sum(row.seconds for row in able))
    to.print(Text(f"{len(able)} of {len(planned)} candidates can run here; a first look at them takes about {total}"))


def _render_one(verdict: Verdict, to: Console) -> None:
    to.print()
    title = Text()
    for word, _ in views.badges(verdict):
        title.append(f" {word} ", style=_BADGE_STYLES.get(word, "bold reverse"))
        title.append(" ")
    title.append(shorten(verdict.scenario, 60), style="bold")
    to.print(title)
    to.print(Text(clean(verdict.headline), style="bold"))
    units = [f" · cost in {clean(verdict.cost_unit)}"] if verdict.cost_unit else []
    units += [f" · {verdict.objective} in {clean(verdict.score_unit)}"] if views.score_title(verdict) else []
    to.print(Text(views.question(verdict) + "".join(units), style="dim"))
    if verdict.provisional:
        to.print(Text(f"PROVISIONAL: {views.PROVISIONAL}", style="yellow"))
    _gate_lines(verdict, to)
    to.print()
    to.print(_candidates(verdict, to.width))
    to.print()
    for line in _closing(verdict):
        to.print(Text(f"- {line}"))


def _gate_lines(verdict: Verdict, to: Console) -> None:
    shown = gates(verdict)
    judged = subject(verdict)
    if verdict.choice is None and judged is not None:
        to.print(Text(f"The gates of {views.subject_words(verdict)}, {shorten(judged.candidate, 60)}:", style="dim"))
    grid = Table.grid(padding=(0, 2))
    for gate in shown:
        figure = f"{gate.figure} {gate.limit}"
        grid.add_row(*texts(gate.name, Text(gate.status, style=_gate_style(gate)), figure, gate.margin))
    to.print(Padding(grid, (0, 0, 0, 2)))


def _gate_style(gate: Gate) -> str:
    return {"passes": "bold blue", "misses": "bold red"}.get(gate.status, "dim")


def _candidates(verdict: Verdict, width: int) -> Table:
    """The table that fits: narrow terminals leave out capacity and quality, never the why-not."""
    table = empty_table()
    table.add_column("#", justify="right", no_wrap=True)
    names = _names(verdict, width)
    longest = max((cell_len(line) for name in names for line in name.splitlines()), default=0)
    table.add_column("candidate", overflow="fold", width=max(len("candidate"), min(longest, width // 2)))
    for title in _measured_titles(verdict, width):
        table.add_column(title, justify="right", no_wrap=True)
    for title in [verdict.objective, "cost"] if views.score_title(verdict) else ["cost"]:
        table.add_column(title, justify="right", no_wrap=True)
    if width >= _MIDDLE:
        table.add_column("quality", justify="right", overflow="fold", max_width=20 if width < _WIDE else 28)
    table.add_column("outcome, and why not", overflow="fold", ratio=1)
    for name, row in zip(names, views.rows(verdict), strict=True):
        table.add_row(*texts(*_cells(verdict, row, name, width)), style=_STANDING_STYLES.get(row.standing, ""))
    return table


def _measured_titles(verdict: Verdict, width: int) -> list[str]:
    """What stands beside the cost: latency where it plays a part, capacity where there is room or nothing else."""
    latency = views.shows_latency(verdict)
    capacity = "capacity" if verdict.traffic.get("open_loop") else "items/s"
    return [f"{views.tail_name(verdict)} ms"] * latency + [capacity] * (width >= _WIDE or not latency)


def _names(verdict: Verdict, width: int) -> list[str]:
    """The candidates' names, on lines as long as there is room for beside the figures."""
    room = 20 if width < _WIDE else 34
    return broken_names([shorten(row.judged.candidate, 160) for row in views.rows(verdict)], room)


def _cells(verdict: Verdict, row: views.Row, name: str, width: int) -> list[str]:
    cells = [str(row.number), name]
    if views.shows_latency(verdict):
        cells.append(f"{row.p99} [{row.p99_ends}]" if row.p99_ends else row.p99)
    if width >= _WIDE or not views.shows_latency(verdict):
        cells.append(row.capacity)
    cells += [row.score, row.cost] if views.score_title(verdict) else [row.cost]
    if width >= _MIDDLE:
        cells.append(_quality(verdict, row.judged))
    why = shorten(row.why_not, 300)
    cells.append(why if row.fate == "ok" and why else f"{row.fate}: {why}" if why else row.fate)
    return cells


def _quality(verdict: Verdict, judged: Judgement) -> str:
    """A line for each metric that has a floor, else for the first: the other figures are for wider pages."""
    held = [quality for name, quality in judged.quality.items() if name in verdict.floors]
    return change_words(held or list(judged.quality.values())[:1], between="\n")


def _closing(verdict: Verdict) -> list[str]:
    lines = [clean(line) for line in (*verdict.reasons, *views.doubts(verdict))]
    more = views.certainty(verdict), saving_words(verdict), views.money_words(verdict), preparation_words(verdict)
    lines += [line for line in more if line]
    lines += endpoint_words(verdict)
    if verdict.leaderboard is not None:
        board = verdict.leaderboard
        lines.append(
            f"A leaderboard of mean latencies would have picked {shorten(board.candidate, 80)} "
            f"(mean {ms(board.mean_ms)}). {views.sentence(board.consequence)}"
        )
    marks = views.trust(verdict)
    if marks:
        lines.append(f"Marked as doubtful: {'; '.join(shorten(mark, 160) for mark in marks[:4])}")
    return lines


def _table(*columns: str) -> Table:
    table = empty_table()
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=0 < place < len(columns) - 1)
    return table


def _version(one: Mapping[str, Any]) -> Text:
    precisions = ", ".join(clean(name) for name in one.get("precisions") or ())
    return Text(clean(one.get("version") or "") + (f" ({precisions})" if precisions else ""))


def _remedy(one: Mapping[str, Any]) -> Text:
    parts = [clean(one[key]) for key in ("reason", "remedy") if one.get(key)]
    return Text(": ".join(parts))


def _facts(to: Console, title: str, facts: Iterable[tuple[str, str]]) -> None:
    to.print()
    to.print(Text(title, style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(name), Text(value))
    to.print(Padding(grid, (0, 0, 0, 2)))
