"""What a night found, in words: figures with their signs and units, a benchmark in a line, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bakeoff.decide.drift.answers import (
    ARTIFACT_SIZE,
    CAPACITY,
    EXITS,
    LOAD_TIME,
    MEMORY,
    P99,
    QUALITY,
    SERVICE_TIME,
    Answer,
    Figure,
    Night,
    Status,
)
from bakeoff.decide.wording import listed
from bakeoff.show.numbers import ABSENT, change, duration, interval, known, number, percent, size, unit

METRICS: Mapping[str, tuple[str, str, str]] = {
    SERVICE_TIME: ("service time", "longer", "shorter"),
    P99: ("p99", "longer", "shorter"),
    CAPACITY: ("capacity", "less", "more"),
    MEMORY: ("memory", "more", "less"),
    LOAD_TIME: ("load time", "longer", "shorter"),
    ARTIFACT_SIZE: ("artifact size", "larger", "smaller"),
}
"""Each metric's name, and what it is where it got worse, and better."""
EXACT = "exact"
_COUNTED: Mapping[Status, str] = {
    "regression": "regressed",
    "missing": "missing",
    "inconclusive": "inconclusive",
    "improved": "improved",
    "ok": "ok",
}


def is_quality(figure: Figure) -> bool:
    """Whether a change is in the metric's own units, and no fraction of the baseline."""
    return figure.metric.partition(":")[0] == QUALITY


def metric_words(figure: Figure) -> str:
    """The metric as people call it: "service time", "auc"."""
    return METRICS[figure.metric][0] if figure.metric in METRICS else figure.metric.partition(":")[2] or figure.metric


def change_words(figure: Figure) -> str:
    """By how much it is worse, with its sign: +5.2 % is worse, -5.2 % better; of quality +0.0012."""
    return change(figure.change) if is_quality(figure) else percent(figure.change, signed=True)


def interval_words(figure: Figure) -> str:
    """The interval of the change; a dash where there is none, "exact" where it needs none."""
    if not (known(figure.low) and known(figure.high)) or figure.low is None or figure.high is None:
        return ABSENT
    if figure.low == figure.high:
        return EXACT
    if is_quality(figure):
        return interval(figure.low, figure.high)
    return f"{interval(100 * figure.low, 100 * figure.high)} %"


def mde_words(figure: Figure) -> str:
    """The smallest change that so many sessions find in four of five cases."""
    return number(figure.mde, 2) if is_quality(figure) else percent(figure.mde)


def amount(value: float | None, name: str) -> str:
    """A figure in its own unit, seconds and bytes as people read them."""
    if name in {"s", "seconds"}:
        return duration(value)
    return size(value) if name in {"B", "bytes"} else unit(value, name).strip()


def amounts(figure: Figure) -> str:
    """Both sides, "8.1 ms → 8.6 ms"; a dash where neither is known."""
    if not known(figure.baseline) and not known(figure.now):
        return ABSENT
    return f"{amount(figure.baseline, figure.unit)} → {amount(figure.now, figure.unit)}"


def told(figure: Figure) -> str:
    """A figure in a phrase: "service time 5.2 % longer (4.1-6.3 %)", "auc lost 0.0012", "p99 unknown"."""
    name, value = metric_words(figure), figure.change
    if value is None or not known(value):
        return f"{name} unknown"
    around = interval_words(figure if value > 0 else _turned(figure))
    behind = "" if around in {ABSENT, EXACT} else f" ({around})"
    if is_quality(figure):
        return (
            f"{name} {'lost' if value > 0 else 'gained'} {number(abs(value), 2)}{behind}" if value else f"same {name}"
        )
    _, worse, better = METRICS.get(figure.metric, ("", "worse", "better"))
    return f"{name} {percent(abs(value))} {worse if value > 0 else better}{behind}" if value else f"same {name}"


def _turned(figure: Figure) -> Figure:
    """How much better it is, where a change says how much worse."""
    low, high = (None if end is None else -end for end in (figure.high, figure.low))
    return replace(figure, low=low, high=high)


def telling(answer: Answer) -> tuple[Figure, ...]:
    """The figures that a benchmark's status rests on; where none does, the first that decides."""
    gating = tuple(figure for figure in answer.figures if figure.gate is not None)
    return tuple(figure for figure in gating if figure.status == answer.status != "ok") or gating[:1]


def why(answer: Answer) -> str:
    """What else to know of an answer in a line: reasons, the culprit, and a baseline that could not be run."""
    reasons = [answer.reason, *(each.reason for each in telling(answer) if each.reason not in answer.reason)]
    parts = [*dict.fromkeys(filter(None, reasons))]
    if answer.culprit:
        parts.append(f"brought by {answer.blamed}" if answer.blamed else f"what brought it was {answer.culprit}")
    parts += ["against stored figures, with wider bounds"] if answer.stored else []
    return "; ".join(parts)


def headline(answer: Answer) -> str:
    """A benchmark in a phrase: its name and what its status rests on."""
    figures = "; ".join(told(figure) for figure in telling(answer) if answer.status != "missing")
    return ": ".join(filter(None, [answer.benchmark, figures or answer.reason]))


def by_urgency(night: Night) -> tuple[Answer, ...]:
    """The answers, the worst first."""
    order = list(EXITS)
    return tuple(sorted(night.answers, key=lambda answer: order.index(answer.status)))


def verdict(night: Night) -> str:
    """The night in a sentence: how many benchmarks ended how, and what the worst of them says."""
    if not night.answers:
        return "Nothing was checked."
    counts = Counter(answer.status for answer in night.answers)
    parts = [f"{counts[status]} {word}" for status, word in _COUNTED.items() if counts[status]]
    count = f"{len(night.answers)} benchmark{'s' if len(night.answers) > 1 else ''}"
    whole = f"{count}: {listed(parts)}."
    return whole if night.worst == "ok" else f"{whole} {headline(by_urgency(night)[0])}."


def advice(night: Night) -> Iterator[str]:
    """What to do next, a sentence for each kind of answer that asks for something."""
    found = {answer.status for answer in night.answers}
    names = {status: _scenarios(night, status) for status in found}
    for answer in night.answers:
        if answer.status == "regression" and answer.blamed:
            yield f"{answer.benchmark}: {answer.blamed} brought it; hold that back, or accept it with a new pin."
    if "--bisect" not in night.command.split() and (slower := dict.fromkeys(filter(None, map(_slower, night.answers)))):
        yield f"`bakeoff check {' '.join(slower)} --bisect` names the package that brought a regression."
    if "missing" in found:
        yield f"A benchmark of {names['missing']} was not checked; bring it back, or leave it out with a new pin."
    if any(answer.status == "inconclusive" and not answer.stored for answer in night.answers):
        yield "What is inconclusive takes a longer --budget, or a quieter machine."
    yield from _new_pins(night)
    if any(answer.stored for answer in night.answers):
        yield "Where stored figures stood in for a baseline, another machine or load shows as a change, too."
    if night.status == "stopped":
        yield "The check was stopped before its end; it says nothing of what is not listed."


def _slower(answer: Answer) -> str:
    """The scenario of an answer that a bisection may explain: its service time regressed, beside a running baseline."""
    regressed = {figure.metric for figure in answer.figures if figure.status == "regression"}
    return answer.scenario if SERVICE_TIME in regressed and not (answer.stored or answer.culprit) else ""


def _new_pins(night: Night) -> Iterator[str]:
    """A new pin of a scenario takes all of its candidates as they are, so that one which regressed comes first."""
    improved, regressed = (_scenarios(night, status).split() for status in ("improved", "regression"))
    if better := [name for name in improved if name not in regressed]:
        yield f"`bakeoff pin {' '.join(better)} --reason TEXT` makes what improved the baseline; nothing else does."
    if mixed := [name for name in improved if name in regressed]:
        yield f"{listed(mixed)} improved in part: a new pin would take what regressed, too; mend that first."


def _scenarios(night: Night, status: Status) -> str:
    return " ".join(dict.fromkeys(answer.scenario for answer in night.answers if answer.status == status))
