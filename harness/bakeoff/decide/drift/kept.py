"""Between what a night's check says and the store's plain records of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from bakeoff.decide.drift.answers import Answer, Figure, Night, Session
from bakeoff.store.record import AnswerRecord, NightRecord, SessionRecord

_FIGURE = frozenset(field.name for field in fields(Figure))
_ANSWER = frozenset(field.name for field in fields(Answer)) - {"scenario", "candidate", "figures", "sessions"}


def session_record(scenario: str, candidate: str, measured: Session) -> SessionRecord:
    """A benchmark's session as the store keeps it."""
    return SessionRecord(
        scenario, candidate, **{field.name: getattr(measured, field.name) for field in fields(Session)}
    )


def session(record: SessionRecord) -> Session:
    """The session that a record holds."""
    return Session(**{field.name: getattr(record, field.name) for field in fields(Session)})


def answer_record(answer: Answer) -> AnswerRecord:
    """An answer as the store keeps it: its sessions have rows of their own."""
    said = {name: getattr(answer, name) for name in _ANSWER}
    figures = [asdict(figure) for figure in answer.figures]
    return AnswerRecord(answer.scenario, answer.candidate, {**said, "figures": figures})


def answer(scenario: str, candidate: str, said: Mapping[str, Any], sessions: tuple[Session, ...] = ()) -> Answer:
    """The answer that `answer_record` described; what a later bakeoff added to it is left out."""
    figures = tuple(Figure(**{name: each[name] for name in _FIGURE & each.keys()}) for each in said["figures"])
    rest = {name: said[name] for name in _ANSWER & said.keys()}
    return Answer(scenario, candidate, figures=figures, sessions=sessions, **rest)


def night(record: NightRecord) -> Night:
    """A stored night; of one that was killed, the benchmarks that were judged by then."""
    sessions: dict[tuple[str, str], list[Session]] = {}
    for one in record.sessions:
        sessions.setdefault((one.scenario, one.candidate), []).append(session(one))
    whole = {field.name: getattr(record, field.name) for field in fields(Night) if field.name != "answers"}
    answers = tuple(
        answer(one.scenario, one.candidate, one.answer, tuple(sessions.get((one.scenario, one.candidate), ())))
        for one in record.answers
    )
    return Night(**whole, answers=answers)
