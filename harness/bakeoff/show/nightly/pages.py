"""A night on the terminal and as a GitHub step summary: a line per benchmark, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from bakeoff.decide.drift.answers import Answer, Figure, Night
from bakeoff.decide.drift.rule import FAMILY, SCORED
from bakeoff.show import sheet
from bakeoff.show.nightly import words
from bakeoff.show.numbers import ABSENT, duration
from bakeoff.show.sheet import Grid, Sheet

_TITLES = ("", "benchmark", "metric", "worse by", "interval", "baseline → now", "MDE", "sessions", "note")


def render(night: Night, console: Console | None = None) -> None:
    """Print a night: every benchmark, the worst first, and the verdict at the very end."""
    sheet.render([*_found(night), _verdict(night)], console)


def markdown(night: Night) -> str:
    """The same for a CI step's summary, the verdict first."""
    return sheet.markdown([_verdict(night), *_found(night)])


def _verdict(night: Night) -> Sheet:
    return Sheet(f"The night: {night.worst.upper()}", words.verdict(night), notes=tuple(words.advice(night)))


def _found(night: Night) -> list[Sheet]:
    answers = words.by_urgency(night)
    lines = [(answer, figure) for answer in answers for figure in words.telling(answer) or (None,)]
    bad = frozenset(place for place, (answer, _) in enumerate(lines) if answer.status in {"regression", "missing"})
    grid = Grid(_TITLES, tuple(_line(answer, figure) for answer, figure in lines), frozenset({3, 4, 6, 7}), bad)
    reported = _reported(answers)
    return [Sheet("The benchmarks", "", (grid, *([reported] if reported.rows else [])), tuple(_notes(night)))]


def _line(answer: Answer, figure: Figure | None) -> tuple[str, ...]:
    name, note = answer.benchmark, words.why(answer)
    if figure is None:
        return (answer.status.upper(), name, *[ABSENT] * 6, note)
    return (
        answer.status.upper(),
        name,
        words.metric_words(figure),
        words.change_words(figure),
        words.interval_words(figure),
        words.amounts(figure),
        words.mde_words(figure),
        str(figure.sessions) if figure.sessions else ABSENT,
        note,
    )


def _reported(answers: Sequence[Answer]) -> Grid:
    """What decides nothing, by how much it is worse and what could have been found: a column for each metric."""
    by_answer = {
        answer.benchmark: {figure.metric: figure for figure in answer.figures if figure.gate is None}
        for answer in answers
    }
    titles = {metric: words.metric_words(figure) for each in by_answer.values() for metric, figure in each.items()}
    rows = tuple(
        (name, *(_cell(figures.get(metric)) for metric in titles)) for name, figures in by_answer.items() if figures
    )
    return Grid(("only reported: worse by", *titles.values()), rows, frozenset(range(1, len(titles) + 1)))


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ABSENT
    mde = words.mde_words(figure)
    return words.change_words(figure) + ("" if mde == ABSENT else f" (MDE {mde})")


def _notes(night: Night) -> list[str]:
    notes = [*night.plan]
    notes.append(
        "MDE: the smallest change that so many sessions find in four of five cases;"
        f" intervals: {1.0 - FAMILY:.0%} (quality: {1.0 - 2.0 * SCORED:.1%} over all of its metrics together)."
    )
    unknown = [each for answer in night.answers for each in answer.figures if each.gate is None and each.change is None]
    notes += dict.fromkeys(f"{words.metric_words(each)}: {each.reason}." for each in unknown if each.reason)
    when = night.started_at.strftime("%Y-%m-%d %H:%M %Z").strip()
    took_s = 0.0 if night.finished_at is None else (night.finished_at - night.started_at).total_seconds()
    took = f", {duration(took_s)}" if took_s > 0.0 else ""  # a clock set back meanwhile tells nothing
    cpu = night.host.get("cpu")
    notes.append(f"Night {night.night}, {when}{took}{f', on {cpu}' if cpu else ''}: {night.command}")
    return notes
