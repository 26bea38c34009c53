"""Change points by Apache Otava itself, in an environment of its own: what it finds in simulated nights."""

import sys

import numpy as np
import pytest
from proofs.nights import past_night, simulated

from bakeoff.backends import Unavailable
from bakeoff.decide.drift import creep, past
from bakeoff.decide.drift.answers import SERVICE_TIME
from bakeoff.errors import UserError
from bakeoff.nightly import otava
from bakeoff.store.nights import Nights
from bakeoff.store.record import SessionRecord
from bakeoff.workloads import venvs

pytestmark = pytest.mark.engines

STEP = np.where(np.arange(60) < 30, 0.0, np.log(1.05))


def changes(nights):
    found = creep.sought(past.history(nights, SERVICE_TIME).series, SERVICE_TIME, otava.change_points)
    return [each.changes for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 20])
def test_a_step_of_5_percent_is_found_at_its_night(every):
    """Also where new pins accept it: its size is that of the chain."""
    found = changes(simulated(STEP, 40, every=every))
    first = [each[0] for each in found if each]
    assert len(first) >= 38
    assert sum(abs(change.place - 30) <= 1 for change in first) >= 37
    assert all(change.night == f"n{change.place}" for change in first)
    assert np.mean([change.size for change in first]) == pytest.approx(0.05, abs=0.006)
    assert all(change.p <= creep.MOST_P for change in first)


@pytest.mark.slow
def test_what_creeps_in_is_found_after_it_begins():
    """From night 30 on a sixth of a percent more each night."""
    found = changes(simulated(np.log(1.05) * np.maximum(0, np.arange(60) - 29) / 30, 40, seed=1))
    first = [each[0].place for each in found if each]
    assert len(first) >= 36
    assert np.median(first) > 30
    assert sum(place < 28 for place in first) <= 1
    assert all(change.size > 0 for each in found for change in each)


@pytest.mark.slow
@pytest.mark.parametrize(("every", "session_sd"), [(0, 0.014), (0, 0.036), (5, 0.014), (30, 0.014)])
def test_identical_code_has_no_change_points(every, session_sd):
    """150 series of 120 nights; the joins of pins that move every fifth night are none, either."""
    found = changes(simulated(np.zeros(120), 150, every=every, session_sd=session_sd, seed=2))
    assert sum(map(bool, found)) <= 4


@pytest.mark.slow
def test_constant_nights_and_few_nights_have_none():
    constant = [past_night(n, [0.0]) for n in range(40)]
    assert changes(constant) == [()]
    assert changes([past_night(n, [0.5 * n]) for n in range(2)]) == [()]
    mixed = [
        past_night(n, {("long", "c"): [0.001 * (n % 3)], **({("short", "c"): [0.0]} if n else {})}) for n in range(3)
    ]
    assert changes(mixed) == [(), ()]


def test_without_uv_the_history_is_told_and_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(venvs, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"apache-otava==0\.8\.0: .* needs uv.*pip install 'bakeoff\[environments\]'"):
        changes(simulated(STEP, 1))
    found = three_nights(tmp_path)
    assert "needs uv" in found.not_sought
    assert [point.value for point in found.series[0].points] == [0.0, 0.01, 0.02]


def three_nights(folder):
    """The history of a store with as many."""
    with Nights.open(folder / "b.db") as store:
        for number in range(3):
            night = store.begin_night("bakeoff check", {}, {}, {})
            store.add_session(night, SessionRecord("ctr", "c", "screen", 1, {SERVICE_TIME: 0.01 * number}))
        return creep.history(store, SERVICE_TIME, otava.change_points)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("raise ValueError('too odd')", "some_script: ValueError: too odd"),
        ("import time; time.sleep(600)", "some_script had not ended after 3 s"),
        ("import sys; open(sys.argv[2], 'w').write('[[')", "Expecting value"),
        ("pass", "No such file"),
    ],
)
def test_whatever_otava_does_the_history_is_told(tmp_path, monkeypatch, script, expected):
    """Each by a program in its place, in an environment that has this Python."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    program = tmp_path / "some_script.py"
    program.write_text(script)
    monkeypatch.setattr(venvs, "made", lambda *_: tmp_path)
    monkeypatch.setattr(otava, "_SCRIPT", program)
    monkeypatch.setattr(otava, "LIMIT_S", 3.0)
    found = three_nights(tmp_path)
    assert found.not_sought.startswith("apache-otava==0.8.0: ")
    assert expected in found.not_sought
    assert [point.value for point in found.series[0].points] == [0.0, 0.01, 0.02]


def test_bad_questions_are_one_line_with_the_stores_place(tmp_path):
    with Nights.open(tmp_path / "b.db") as store:
        with pytest.raises(UserError, match=r"store .*b\.db: holds no nights yet"):
            creep.history(store, SERVICE_TIME, otava.change_points)
        with pytest.raises(UserError, match="--metric speed: unknown; it takes service_time, p99, capacity"):
            creep.history(store, "speed", otava.change_points)
