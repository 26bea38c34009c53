"""The rows of nights run for real: played nights whose truth is known, and real processes with extra work."""

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import nights_for_real
import numpy as np
import pytest
import trial
from false_alarms import SLOWED
from nights_for_real import TRIALS, alarmed, found_slower, screened, trials
from proofs import pinned
from proofs.echo import echo_order
from proofs.slowed import SlowedSession, slowed

from bakeoff.backends import Session as Engine
from bakeoff.decide.drift import rule
from bakeoff.decide.drift.answers import SERVICE_TIME, Session
from bakeoff.nightly.night import Case, fall_back
from bakeoff.nightly.session import Sides, play
from bakeoff.scenario import from_dict


@pytest.fixture
def case(tmp_path):
    asked = {"name": "echo", "workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}, "resources": {"cpus": 1}}
    order = echo_order(tmp_path)
    known = rule.Benchmark("shop", "echo", gates={SERVICE_TIME: 0.02})
    return Case(known, Sides(from_dict(asked), order, order))


class Machine:
    """Plays sessions of so noisy a machine, where extra work takes the time that it should, or `blind` none."""

    def __init__(self, noise=0.01, blind=False, call_s=1e-3):
        self.noise, self.blind, self.call_s, self.dice, self.played = noise, blind, call_s, np.random.default_rng(3), 0

    def play(self, sides, stage, number):
        self.played += 1
        shares = [float(order.setting.options.get("share", 0.0)) for order in (sides.baseline, sides.now)]
        truth = 0.0 if self.blind else math.log1p(shares[1]) - math.log1p(shares[0])
        change = truth + self.dice.normal(0.0, self.noise)
        now = {SERVICE_TIME: self.call_s * math.exp(change)}
        return Session(stage, number, {SERVICE_TIME: change}, {SERVICE_TIME: self.call_s}, now)


def test_slowdowns_are_found_where_they_are_above_the_printed_mde(case, tmp_path):
    proof = found_slower(trials(case, TRIALS, tmp_path / "trials.csv", Machine().play))
    assert proof.held, proof.measured
    assert proof.figures["above_0.2"] == proof.figures["found_0.2"] == TRIALS
    assert "+20%: 20 of 20 (of all 20 of 20, measured +20." in proof.measured


def test_a_slowdown_that_is_not_found_misses_the_bar(case, tmp_path):
    proof = found_slower(trials(case, 5, tmp_path / "trials.csv", Machine(blind=True).play))
    assert not proof.held
    assert proof.figures["found_0.2"] == 0


def test_a_machine_so_noisy_that_nothing_is_above_its_mde_shows_nothing(case, tmp_path):
    proof = found_slower(trials(case, 2, tmp_path / "trials.csv", Machine(noise=1.0).play))
    assert proof.figures["above_0.05"] == 0
    assert "+5%: no printed MDE was below it (of all " in proof.measured
    assert not proof.held


def test_trials_that_were_stopped_go_on_with_the_nights_that_the_file_has(case, tmp_path):
    whole, halves = tmp_path / "whole.csv", tmp_path / "halves.csv"
    machine = Machine()
    expected = trials(case, 2, whole, machine.play)
    assert trials(case, 2, whole, None) == trial.read(whole), "nothing is left to play"
    again = Machine()

    def until_the_power_fails(*words):
        if again.played == machine.played // 2:
            raise KeyboardInterrupt
        return again.play(*words)

    with pytest.raises(KeyboardInterrupt):
        trials(case, 2, halves, until_the_power_fails)
    kept = trial.read(halves)
    assert 0 < len(kept) < len(expected)
    found = trials(case, 2, halves, again.play)
    assert trial.read(halves)[: len(kept)] == kept
    assert [each.slower for each in found] == [each.slower for each in expected] == [0.0] * 5 + [*SLOWED] * 2
    assert trial.read(halves)[-1].sessions, "and each line holds its sessions"


def test_trials_of_another_cpu_or_benchmark_are_left_alone(case, tmp_path, monkeypatch):
    file = tmp_path / "trials.csv"
    trials(case, 1, file, Machine().play)
    monkeypatch.setattr(nights_for_real, "cpu", lambda: "another")
    assert {each.cpu for each in trials(case, 1, file, Machine().play)} == {"another"}
    assert len(trial.read(file)) == 2 * (5 + len(SLOWED))


def night(*statuses):
    answers = [{"status": each, "sessions": [{}] * 3} for each in statuses]
    return 1.5, {"answers": answers}


def test_a_false_alarm_or_a_benchmark_that_is_gone_misses_the_bar():
    proof = alarmed([night("ok", "inconclusive"), night("ok", "improved")])
    assert proof.held
    assert proof.measured == "0 of 2 (1 inconclusive, 1 improved, 2 ok; 12 sessions; 1.5 to 1.5 minutes each)"
    assert proof.claim.startswith("whole nights of 2 benchmarks")
    wolf = alarmed([night("ok", "regression"), night("regression", "regression")])
    assert not wolf.held
    assert wolf.measured.startswith("2 of 2 ")
    assert not alarmed([night("ok", "missing")]).held
    blind = alarmed([night("ok", "inconclusive", "inconclusive")])
    assert not blind.held, "nights that cannot tell cry no wolf, and show nothing"


def test_the_screen_of_many_is_timed_and_their_calls_are_looked_at(case):
    machine = Machine()
    proof = screened([case], 6, machine.play)
    assert proof.held
    assert proof.figures["sessions"] == machine.played >= 6 * rule.SCREEN_SESSIONS
    assert not screened([case], 2, Machine(call_s=6e-3).play).held, "calls of more than 5 ms are another question"
    traffic = {"kind": "server", "qps": 800}
    server = from_dict({"name": "echo", "workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "50ms"}})
    lasting = nights_for_real._lasting(Case(case.known, replace(case.sides, scenario=server)))
    for order in lasting.sides.orders.values():
        assert 0.9 * nights_for_real.CALL_S < order.setting.options["least_s"] < nights_for_real.CALL_S
    assert lasting.sides.scenario.traffic.qps == 100


def test_the_rows_go_between_the_marks(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- nights -->\n<!-- /nights -->\nafter\n")
    monkeypatch.setitem(nights_for_real.PROOFS, "alarms", lambda asked: alarmed([night("ok")] * asked.nights))
    assert nights_for_real.main(["--only", "alarms", "--nights", "3", "--into", str(page)]) == 0
    assert "0 of 3 (3 ok; 9 sessions" in page.read_text()
    monkeypatch.setitem(nights_for_real.PROOFS, "alarms", lambda _: alarmed([night("regression")]))
    assert nights_for_real.main(["--only", "alarms", "--into", str(page)]) == 1
    assert page.read_text().count("--only alarms") == 1
    assert "**no**" in capsys.readouterr().out


def test_what_cannot_run_beside_its_pin_ends_it_before_anything_is_measured(case, tmp_path, monkeypatch):
    monkeypatch.setattr(pinned.pin_files, "find", lambda _: [])
    monkeypatch.setattr(pinned.cases, "find", lambda *_: [SimpleNamespace(case=case)])
    assert pinned.pinned(tmp_path, tmp_path) == [case]
    fall_back(case, "its baseline cannot be run: no such version")
    with pytest.raises(SystemExit, match="shop: echo: its baseline cannot be run: no such version"):
        pinned.pinned(tmp_path, tmp_path)


class Clocked(Engine):
    """Notes how long each of its calls took."""

    def __init__(self):
        self.took_s = []

    def infer(self, inputs):
        began_s = time.perf_counter()
        while time.perf_counter() < began_s + 1e-3:
            pass
        self.took_s.append(time.perf_counter() - began_s)
        return {"y": inputs["x"]}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_extra_work_takes_the_stated_share_of_each_call(share):
    engine = Clocked()
    session, ratios = SlowedSession(engine, share, 0.0), []
    for _ in range(50):
        began_s = time.perf_counter()
        session.infer({"x": np.zeros(1, np.float32)})
        ratios.append((time.perf_counter() - began_s) / engine.took_s[-1])
    assert min(ratios) >= 1.0 + share
    assert np.percentile(ratios, 25) < 1.0 + share + 0.02


def test_a_call_takes_as_long_as_is_asked_at_least():
    engine = Clocked()
    session, took_s = SlowedSession(engine, 0.0, 3e-3), []
    for _ in range(20):
        began_s = time.perf_counter()
        session.infer({"x": np.zeros(1, np.float32)})
        took_s.append(time.perf_counter() - began_s)
    assert min(took_s) >= 3e-3 > 2 * min(engine.took_s)


@pytest.mark.engines
@pytest.mark.slow
def test_real_processes_are_slower_by_extra_work(case, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", nights_for_real.children.environment()["PYTHONPATH"])
    order = case.sides.now
    sides = Sides(case.sides.scenario, slowed(order, 20.0), order)
    session = play(sides, "screen", 1)
    assert session.changes[SERVICE_TIME] > math.log(3)
