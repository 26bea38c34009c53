"""A night as JUnit XML: a suite per scenario, a case per benchmark.

A failure is a confirmed regression, an error a benchmark that is missing, skipped is one that is inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from xml.etree import ElementTree as Xml

from bakeoff.decide.drift.answers import Answer, Figure, Night, Status
from bakeoff.show.nightly import words
from bakeoff.show.numbers import clean

NAME = "bakeoff check"
SKIPPED = "skipped"
"""It has no attributes: its reason is its text."""
_CHILDREN: dict[Status, str] = {"regression": "failure", "missing": "error", "inconclusive": SKIPPED}
_NO_CHARACTERS = dict.fromkeys((0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")
"""What XML cannot hold, beside what `clean` replaces."""


def junit(night: Night) -> str:
    """The whole document. A night that checked nothing is one error: no CI may take it for a success."""
    scenarios = dict.fromkeys(answer.scenario for answer in night.answers)
    suites = {name: [answer for answer in night.answers if answer.scenario == name] for name in scenarios}
    nothing = Answer(NAME, "nothing was checked", "missing", reason="no benchmark was checked")
    suites = suites or {NAME: [nothing]}
    every = [answer for answers in suites.values() for answer in answers]
    root = Xml.Element("testsuites", {"name": NAME} | _counts(every))
    for name, answers in suites.items():
        _suite(root, name, answers, night)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(answers: Sequence[Answer]) -> dict[str, str]:
    """What both kinds of suite say of their cases; the schema gives `skipped` to the inner one alone."""
    statuses = [answer.status for answer in answers]
    return {
        "tests": str(len(answers)),
        "failures": str(statuses.count("regression")),
        "errors": str(statuses.count("missing")),
        "time": f"{sum(answer.seconds for answer in answers):.3f}",
    }


def _suite(root: Xml.Element, name: str, answers: Sequence[Answer], night: Night) -> None:
    facts = {
        "name": _text(name),
        "timestamp": night.started_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "skipped": str(sum(answer.status == "inconclusive" for answer in answers)),
    }
    suite = Xml.SubElement(root, "testsuite", facts | _counts(answers))
    properties = Xml.SubElement(suite, "properties")
    for key, value in {"night": night.night, "command": night.command, "pin": night.pins.get(name, "")}.items():
        if value:
            Xml.SubElement(properties, "property", name=key, value=_text(value))
    for answer in answers:
        _case(suite, answer)


def _case(suite: Xml.Element, answer: Answer) -> None:
    names = {"classname": _text(answer.scenario), "name": _text(answer.candidate)}
    case = Xml.SubElement(suite, "testcase", names | {"time": f"{answer.seconds:.3f}"})
    kind, figures = _CHILDREN.get(answer.status), "\n".join(map(_line, answer.figures))
    if kind is None:
        Xml.SubElement(case, "system-out").text = figures
        return
    message = _text("; ".join(filter(None, [words.headline(answer), words.why(answer)])))
    child = Xml.SubElement(case, kind, {} if kind == SKIPPED else {"type": answer.status, "message": message})
    child.text = f"{message}\n{figures}" if kind == SKIPPED else figures


def _line(figure: Figure) -> str:
    """A figure with all that is known of it."""
    parts = [words.told(figure), words.amounts(figure), f"MDE {words.mde_words(figure)}"]
    parts += [f"{figure.sessions} sessions", "decides" if figure.gate is not None else "reported", figure.reason]
    return _text(", ".join(filter(None, parts)))


def _text(text: object) -> str:
    return clean(text).translate(_NO_CHARACTERS)
