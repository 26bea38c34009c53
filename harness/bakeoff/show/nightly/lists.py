"""A night for other programs: our JSON, github-action-benchmark's `customSmallerIsBetter`, a CSV for Otava."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

from bakeoff.decide.drift.answers import CAPACITY, Answer, Figure, Night
from bakeoff.show.nightly import words
from bakeoff.show.numbers import ABSENT, clean, known
from bakeoff.store.plain import plain

SCHEMA_VERSION = 1
UNIT = "x baseline"


def to_json(night: Night) -> dict[str, Any]:
    """The night as strict JSON, sessions included; absent figures are null."""
    answers = [asdict(answer) | {"benchmark": answer.benchmark} for answer in night.answers]
    for answer in answers:
        answer["sessions"] = [
            session | {"at": session["at"] and session["at"].isoformat()} for session in answer["sessions"]
        ]
    found: dict[str, Any] = plain(
        {"schema_version": SCHEMA_VERSION, "verdict": night.worst, "exit_code": night.exit_code}
        | {name: getattr(night, name) for name in ("night", "status", "command", "pins", "packages", "host", "plan")}
        | {
            "started_at": night.started_at.isoformat(),
            "finished_at": night.finished_at.isoformat() if night.finished_at else None,
            "headline": words.verdict(night),
            "next": list(words.advice(night)),
            "answers": answers,
        }
    )
    return found


def smaller_is_better(night: Night) -> list[dict[str, Any]]:
    """An entry for each ratio to the pinned baseline, 1.0 where nothing changed.

    Not milliseconds: the tool compares with the last point, which another machine may have measured. A ratio is smaller
    where it is better for every metric, capacity too. Quality has none, for a loss of 0 is no ratio.
    """
    return [
        {
            "name": f"{clean(answer.benchmark)} {words.metric_words(figure)}",
            "unit": UNIT,
            "value": ratio,
            "range": _range(figure),
            "extra": _extra(night, answer, figure),
        }
        for answer in night.answers
        for figure, ratio in _ratios(answer)
    ]


def otava(nights: Sequence[Night]) -> str:
    """A row per night, in their order: its time, its id and the same ratios, a column for each benchmark and metric.

    Otava reads no gaps and finds nothing beside a NaN: a night without a figure has that of the last night before it
    that has one, else of the first after it.
    """
    known_ratios = [_columns(night) for night in nights]
    titles = list(dict.fromkeys(title for ratios in known_ratios for title in ratios))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "night", *titles])
    latest = {title: next(ratios[title] for ratios in known_ratios if title in ratios) for title in titles}
    for night, ratios in zip(nights, known_ratios, strict=True):
        latest |= ratios
        time = night.started_at.astimezone(UTC).isoformat(timespec="seconds")
        writer.writerow([time, clean(night.night), *(repr(latest[title]) for title in titles)])
    return text.getvalue()


def _columns(night: Night) -> dict[str, float]:
    """A night's ratios by the names of their columns."""
    return {column(answer, figure): ratio for answer in night.answers for figure, ratio in _ratios(answer)}


def column(answer: Answer, figure: Figure) -> str:
    """The name of a column, without what Otava's settings or a CSV would stumble over."""
    return f"{clean(answer.benchmark)} {figure.metric}".replace(",", " ").replace('"', "'")


def _ratios(answer: Answer) -> Iterator[tuple[Figure, float]]:
    for figure in answer.figures:
        if figure.change is not None and known(figure.change) and not words.is_quality(figure):
            yield figure, _ratio(figure, figure.change)


def _ratio(figure: Figure, change: float) -> float:
    """now / baseline; of capacity, which is worse where it is less, baseline / now."""
    return 1.0 / (1.0 - change) if figure.metric == CAPACITY else 1.0 + change


def _range(figure: Figure) -> str:
    """Half the width of the ratio's interval, as the tool shows it behind the value; empty where there is none."""
    if not (known(figure.low) and known(figure.high)) or figure.low is None or figure.high is None:
        return ""
    return f"± {(_ratio(figure, figure.high) - _ratio(figure, figure.low)) / 2:.3g}"


def _extra(night: Night, answer: Answer, figure: Figure) -> str:
    parts = [answer.status, words.amounts(figure), words.why(answer)]
    parts += [f"MDE {words.mde_words(figure)}", f"{figure.sessions} sessions", f"night {night.night}"]
    parts += [f"pin {night.pins[answer.scenario]}"] if answer.scenario in night.pins else []
    return "\n".join(clean(part) for part in parts if part not in {"", ABSENT})
