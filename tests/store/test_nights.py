"""Nights: what is written is read back in the order it began, and writers at once lose nothing."""

import math
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bakeoff.errors import UserError
from bakeoff.store.nights import Nights
from bakeoff.store.record import AnswerRecord, SessionRecord
from bakeoff.store.store import Store

CTR, ORT = "ctr", "onnxruntime/fp32/1x1"
AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def session(number=1, change=0.01, stage="screen", candidate=ORT, **more):
    return SessionRecord(CTR, candidate, stage, number, {"service_time": change}, at=AT, **more)


def begun(store, **pins):
    return store.begin_night("bakeoff check", pins, {"numpy": "2.4"}, {"cpus": 2}, ("3 sessions of 2 benchmarks",))


def test_what_is_written_is_read_back(store):
    night = begun(store, ctr="abc")
    written = (session(1, baseline={"service_time": 0.001}, now={"service_time": 0.00101}), session(1, stage="confirm"))
    for each in written:
        store.add_session(night, each)
    for status in ("ok", "regression"):
        store.add_answer(night, AnswerRecord(CTR, ORT, {"status": status, "figures": [{"change": math.nan}]}))
    assert store.load_night(night).finished_at is None
    assert store.load_night(night).status == "running"
    store.finish_night(night, "finished")
    found = store.load_night(night)
    assert found.sessions == written
    assert found.answers == (AnswerRecord(CTR, ORT, {"status": "regression", "figures": [{"change": None}]}),)
    assert (found.night, found.status, found.command) == (night, "finished", "bakeoff check")
    assert (found.pins, found.packages, found.host) == ({"ctr": "abc"}, {"numpy": "2.4"}, {"cpus": 2})
    assert found.plan == ("3 sessions of 2 benchmarks",)
    assert found.finished_at > found.started_at


def test_figures_that_could_not_be_computed_are_no_figures(store):
    night = begun(store)
    store.add_session(night, SessionRecord(CTR, ORT, "screen", 1, {"service_time": math.nan, "memory": 0.2}))
    assert store.load_night(night).sessions[0].changes == {"memory": 0.2}
    assert store.history("service_time")[0].values == {}
    assert store.history("memory")[0].values == {(CTR, ORT): [0.2]}


def test_history_has_every_nights_values_by_benchmark(store):
    first, second, third = (begun(store, ctr=pin) for pin in "aab")
    for number, change in enumerate((0.1 + 0.2, -0.02, 0.0)):
        store.add_session(first, session(number, change))
    store.add_session(third, session(1, 0.04, "screen"))
    store.add_session(third, session(1, 0.05, "confirm"))
    store.add_session(third, session(1, 0.06, candidate="torch"))
    store.add_answer(third, AnswerRecord(CTR, ORT, {"status": "ok"}))
    one, none, other = store.history("service_time")
    assert [each.night for each in (one, none, other)] == [first, second, third]
    assert one.values == {(CTR, ORT): [0.1 + 0.2, -0.02, 0.0]}, "to the last digit, in the order measured"
    assert none.values == {}
    assert other.values == {(CTR, ORT): [0.04, 0.05], (CTR, "torch"): [0.06]}
    assert other.answers == {(CTR, ORT): {"status": "ok"}}
    assert other.pins == {"ctr": "b"}
    assert store.history("p99")[2].values == {}


def test_a_benchmarks_sessions_come_night_by_night(store):
    first, _, third = (begun(store) for _ in range(3))
    written = [session(1), session(2, stage="confirm"), session(3, now={"service_time": 0.1})]
    store.add_session(third, written[2])
    store.add_session(first, session(1, candidate="torch"))
    for each in written[:2]:
        store.add_session(first, each)
    assert store.sessions(CTR, ORT) == (tuple(written[:2]), (written[2],))
    assert store.sessions(CTR, "tvm") == ()


def test_sessions_beside_stored_figures_are_kept_and_feed_no_later_night(store):
    first, second = begun(store), begun(store)
    store.add_session(first, session(1))
    for number in (2, 3):
        store.add_session(first, session(number, 0.4, stored=True))
        store.add_session(second, session(number, 0.4, stored=True))
    assert [each.stored for each in store.load_night(first).sessions] == [False, True, True]
    assert store.sessions(CTR, ORT) == ((session(1),),)
    assert [each.values for each in store.history("service_time")] == [{(CTR, ORT): [0.01]}, {}]


def test_sessions_of_another_cpu_can_be_left_out(store):
    for cpu in ("EPYC", "Z80"):
        night = store.begin_night("bakeoff check", {}, {}, {"cpu": cpu})
        store.add_session(night, session(1))
    assert len(store.sessions(CTR, ORT)) == 2
    assert len(store.sessions(CTR, ORT, "Z80")) == 1
    assert store.sessions(CTR, ORT, "6502") == ()


def test_a_clock_set_back_does_not_change_the_order(store, monkeypatch):
    times = [AT, AT - timedelta(days=2), AT - timedelta(days=2)]
    nights = []
    for at in times:
        monkeypatch.setattr("bakeoff.store.opened.datetime", stopped(at))
        monkeypatch.setattr("bakeoff.store.plain.datetime", stopped(at))
        nights.append(begun(store))
    assert store.nights() == tuple(reversed(nights))
    assert [each.started_at for each in store.history("service_time")] == times
    assert len(set(nights)) == 3


def stopped(at):
    """A clock that stands."""

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return at

    return Clock


def test_the_same_session_twice_is_refused_in_one_line(store):
    night = begun(store)
    store.add_session(night, session())
    with pytest.raises(UserError, match=r"already has session 1 of screen of ctr: onnxruntime.*: does another bakeoff"):
        store.add_session(night, session(change=0.3))
    assert store.history("service_time")[0].values == {(CTR, ORT): [0.01]}


def test_what_was_never_begun_is_a_bug_or_bad_input(store):
    assert store.nights() == ()
    assert store.history("service_time") == ()
    with pytest.raises(UserError, match="there is no night 'nil'"):
        store.load_night("nil")
    for write in (
        lambda: store.add_session("nil", session()),
        lambda: store.add_answer("nil", AnswerRecord(CTR, ORT, {})),
        lambda: store.finish_night("nil", "finished"),
    ):
        with pytest.raises(LookupError, match="night 'nil'"):
            write()


WRITER = textwrap.dedent(
    """
    import sys
    from bakeoff.store.nights import Nights
    from bakeoff.store.record import AnswerRecord, SessionRecord
    place, count, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with Nights.open(place) as store:
        night = store.begin_night("writer", {}, {}, {})
        print(night, flush=True)
        for number in range(count):
            store.add_session(night, SessionRecord("ctr", name, "screen", number, {"service_time": number / 7}))
            print(number, flush=True)
        store.add_answer(night, AnswerRecord("ctr", name, {"status": "ok"}))
        store.finish_night(night, "finished")
    """
)


def start_writer(place, count, name="x"):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place), str(count), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir())},
    )


def test_several_checks_at_once_lose_nothing(place):
    """They make the store together, too."""
    names = ["a", "b", "c", "d"]
    writers = [start_writer(place, 30, name) for name in names]
    outputs = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    with Store.open(place, create=False) as store:
        assert sorted(store.nights()) == sorted(output[0] for output in outputs)
        for name, (night, *_) in zip(names, outputs, strict=True):
            found = store.load_night(night)
            assert [(each.candidate, each.number) for each in found.sessions] == [(name, n) for n in range(30)]
            assert (found.status, [each.candidate for each in found.answers]) == ("finished", [name])
        assert sum(len(v) for one in store.history("service_time") for v in one.values.values()) == 120


def test_a_killed_check_loses_at_most_the_session_in_flight(place):
    Nights.open(place).close()
    writer = start_writer(place, 100_000)
    night = writer.stdout.readline().strip()
    for _ in range(5):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in writer.stdout if line.strip().isdigit())])
    writer.stdout.close()
    writer.wait()
    with Nights.open(place, create=False) as store:
        found = store.load_night(night)
        assert (found.status, found.answers) == ("running", ())
        assert len(found.sessions) in (last + 1, last + 2)


FILLER = textwrap.dedent(
    """
    import resource, sys
    from bakeoff.errors import UserError
    from bakeoff.store.nights import Nights
    from bakeoff.store.record import SessionRecord
    with Nights.open(sys.argv[1]) as store:
        night = store.begin_night("filler", {}, {}, {})
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        for number in range(100_000):
            try:
                store.add_session(night, SessionRecord("ctr", "x", "screen", number, {"service_time": number / 7}))
            except UserError as error:
                print(night, number, error)
                break
    """
)


def test_a_disk_that_takes_no_more_is_one_clear_line_and_the_store_stays_whole(tmp_path):
    """No file may grow any further, as on a full disk."""
    place = tmp_path / "b.db"
    done = subprocess.run([sys.executable, "-c", FILLER, str(place)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    night, stored, said = done.stdout.strip().split(" ", 2)
    assert said.startswith(f"store {place}: ")
    assert said.endswith("; give another place with --store")
    assert "\n" not in said
    with Nights.open(place, create=False) as store:
        assert [each.number for each in store.load_night(night).sessions] == list(range(int(stored)))
        assert int(stored) > 10
        store.finish_night(night, "stopped")
