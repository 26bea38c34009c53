"""What a night says goes into a store and comes out the same."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bakeoff import api
from bakeoff.decide.drift import kept
from bakeoff.decide.drift.answers import Answer, Figure, Night, Session
from bakeoff.errors import UserError
from bakeoff.store.nights import Nights

SESSIONS = (
    Session("screen", 1, {"service_time": 0.051, "memory": 0.0}, {"service_time": 0.001}, {"service_time": 0.00105}),
    Session("confirm", 1, {"service_time": 0.049}),
)
FIGURES = (
    Figure("service_time", "regression", 0.05, 0.03, 0.07, 0.01, 9, 0.02, 0.001, 0.00105, "s", "slower"),
    Figure("quality:auc", "ok", -0.001),
)
ANSWERS = (
    Answer("ctr", "torch/fp32/1x1", "regression", FIGURES, "why", "numpy 1 -> 2", False, SESSIONS, 12.5),
    Answer("ctr", "tvm/fp32/1x1", "missing", reason="it vanished", stored=True),
)


@pytest.fixture
def store(tmp_path):
    with Nights.open(tmp_path / "b.db") as opened:
        yield opened


def write(store):
    night = store.begin_night("bakeoff check", {"ctr": "a"}, {"numpy": "2"}, {"cpus": 2}, ("30 min",))
    for answer in ANSWERS:
        for session in answer.sessions:
            store.add_session(night, kept.session_record(answer.scenario, answer.candidate, session))
        store.add_answer(night, kept.answer_record(answer))
    return night


def without_times(night):
    answers = tuple(
        replace(each, sessions=tuple(replace(one, at=None) for one in each.sessions)) for each in night.answers
    )
    return replace(night, answers=answers)


def test_a_night_is_read_back_as_it_was_told(store):
    night = write(store)
    store.finish_night(night, "finished")
    record = store.load_night(night)
    assert without_times(kept.night(record)) == Night(
        night=night,
        started_at=record.started_at,
        finished_at=record.finished_at,
        status="finished",
        command="bakeoff check",
        pins={"ctr": "a"},
        packages={"numpy": "2"},
        host={"cpus": 2},
        plan=("30 min",),
        answers=ANSWERS,
    )
    assert kept.night(record).exit_code == 1


def test_all_nights_come_the_earliest_first(store, tmp_path):
    written = [write(store), write(store)]
    found = api.nights(tmp_path / "b.db")
    assert [each.night for each in found] == written
    assert without_times(found[1]).answers == ANSWERS
    with pytest.raises(UserError, match=r"none\.db"):
        api.nights(tmp_path / "none.db")


def test_a_sessions_time_is_kept(store):
    night = store.begin_night("bakeoff check", {}, {}, {})
    session = replace(SESSIONS[0], at=datetime(2026, 1, 2, tzinfo=UTC))
    store.add_session(night, kept.session_record("ctr", "torch", session))
    assert kept.session(store.load_night(night).sessions[0]) == session


def test_a_killed_night_has_the_answers_given_by_then(store):
    night = store.begin_night("bakeoff check", {}, {}, {})
    store.add_session(night, kept.session_record("ctr", "tvm/fp32/1x1", SESSIONS[0]))
    store.add_answer(night, kept.answer_record(ANSWERS[1]))
    found = kept.night(store.load_night(night))
    assert (found.status, found.finished_at) == ("running", None)
    assert [len(each.sessions) for each in found.answers] == [1]


def test_what_a_later_bakeoff_says_besides_is_left_out():
    said = dict(kept.answer_record(ANSWERS[0]).answer)
    later = {**said, "mood": 1, "figures": [{**said["figures"][0], "colour": "red"}]}
    found = kept.answer("ctr", "torch/fp32/1x1", later, SESSIONS)
    assert found == replace(ANSWERS[0], figures=FIGURES[:1])
