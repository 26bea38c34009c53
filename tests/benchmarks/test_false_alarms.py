"""Few nights of made-up sessions: the table, its bars, and that each can be missed."""

import math
from datetime import UTC, datetime, timedelta

import aa
import false_alarms
import numpy as np
import pytest
from aa import Together

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def made_up(spread=0.01, drift=0.1, count=30, worse=0.0):
    """Three benchmarks whose runs drift together, and whose sides differ by less."""
    rng = np.random.default_rng(0)

    def session(number):
        change = worse + spread * rng.standard_t(4)
        speed = 500.0 * math.exp(drift * rng.standard_normal())
        times = [speed * np.exp(0.02 * rng.standard_normal(40) + added) for added in (0.0, change)]
        return Together(BEGAN + timedelta(minutes=number), change, *times)

    return {name: [session(number) for number in range(count)] for name in ("one", "two", "three")}


@pytest.fixture(scope="module")
def found():
    return false_alarms.rows(made_up(), 25, 6)


def test_a_file_holds_what_was_measured(tmp_path):
    file = tmp_path / "evidence" / "aa.csv"
    for name, sessions in made_up(count=2).items():
        for number, each in enumerate(sessions, 1):
            aa.append(file, name, number, each)
    again = aa.read(file)
    assert list(again) == ["one", "two", "three"]
    for name, sessions in made_up(count=2).items():
        for before, after in zip(sessions, again[name], strict=True):
            assert after.at == before.at
            assert after.change == pytest.approx(before.change)
            assert after.baseline == pytest.approx(before.baseline, rel=1e-4)
            assert after.now == pytest.approx(before.now, rel=1e-4)


@pytest.mark.parametrize("figures", ["nan,1 2,1 2", "0.1,,", "0.1,1 2,", "0.1,1 0,1 2", "0.1,1 2,1 inf"])
def test_evidence_has_no_holes(tmp_path, figures):
    file = tmp_path / "aa.csv"
    file.write_text(f"{','.join(aa.COLUMNS)}\none,1,2026-01-01T00:00:00+00:00,{figures}\n")
    with pytest.raises(SystemExit, match=":2: a session without a figure"):
        aa.read(file)


def test_drifting_runs_fool_the_usual_gates_and_not_ours(found):
    ours, *usual = found
    assert ours.false == 0
    stored = [row.false for row in usual if row.against == "a stored run"]
    assert min(stored) > 10
    beside = {row.rule: row.false for row in usual if row.against == "the run beside it"}
    assert beside["Mann-Whitney p < .05"] > 10 > beside["asv: Mann-Whitney p < .002, factor 1.1"]
    assert false_alarms.held(ours, 25)


def test_what_is_slower_is_found(found):
    assert np.mean(found[0].found[0.2]) == 1.0
    assert all(np.mean(row.found[0.2]) > 0.6 for row in found)
    assert all(len(found[0].above[slower]) <= len(found[0].found[slower]) for slower in false_alarms.SLOWED)


def test_a_machine_that_makes_one_side_slower_misses_the_bar():
    """Sessions whose sides differ by what matters are no sessions of the same thing: the rule says so, rightly."""
    clean = [false_alarms.draw(made_up(worse=0.06), 6, np.random.default_rng(1)) for _ in range(5)]
    row = false_alarms.ours(clean, {})
    assert row.false == 5
    assert not false_alarms.held(row, 5)


def test_the_bars():
    every = {slower: [True] * 20 for slower in false_alarms.SLOWED}
    assert false_alarms.held(false_alarms.Row("r", "a", 3, every, every), 300)
    assert not false_alarms.held(false_alarms.Row("r", "a", 4, every, every), 300)
    assert not false_alarms.held(false_alarms.Row("r", "a", 0, every, every | {0.2: [True] * 19 + [False]}), 300)
    assert not false_alarms.held(false_alarms.Row("r", "a", 0, every, every | {0.05: []}), 300), (
        "none was above its MDE, which shows nothing"
    )


def test_no_session_is_drawn_twice_for_a_benchmark_of_a_night():
    night = false_alarms.draw(made_up(), 6, np.random.default_rng(2), 0.1)
    assert [each.slower for each in night] == [0.1, 0, 0, 0, 0, 0]
    for each in night:
        assert len({id(session) for session in each.sessions}) == len(each.sessions) == 3 + 11
    with pytest.raises(SystemExit, match="needs 14 sessions"):
        false_alarms.draw(made_up(count=13), 6, np.random.default_rng(2))


def test_the_table_and_the_status(tmp_path, monkeypatch, capsys):
    file, page = tmp_path / "aa.csv", tmp_path / "page.md"
    for name, sessions in made_up().items():
        for number, each in enumerate(sessions, 1):
            aa.append(file, name, number, each)
    page.write_text("before\n<!-- false-alarms -->\n<!-- /false-alarms -->\nafter\n")
    asked = [str(file), "--nights", "4", "--benchmarks", "4", "--into", str(page)]
    assert false_alarms.main(asked) == 0
    told = capsys.readouterr().out
    assert told.strip() in page.read_text()
    lines = [line for line in told.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 1 + 2 * len(false_alarms.GATES)
    assert "30 sessions of each of 3 benchmarks" in told
    assert "0.5 hours" in told
    monkeypatch.setattr(false_alarms, "held", lambda *_: False)
    assert false_alarms.main(asked) == 1
