"""A whole check: real engines beside their pins, and around played sessions all that can go wrong."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest
from nightly_shop import BENCHMARK, CANDIDATE, NAME, PRODUCTS, played, ranker

from bakeoff import api
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift.answers import SERVICE_TIME, Answer
from bakeoff.errors import UserError
from bakeoff.measure import host
from bakeoff.measure.engine_room import StageFailed
from bakeoff.measure.lane import LOAD
from bakeoff.nightly import bisecting, session
from bakeoff.nightly.alone import alone
from bakeoff.nightly.benchmark_file import Figures, incomparable
from bakeoff.nightly.session import BASELINE, NOW, SideFailed
from bakeoff.nightly.stored_figures import StoredFigures
from bakeoff.scenario import load_scenario
from bakeoff.store.nights import Nights

pytestmark = pytest.mark.slow


GONE = {"backend": "nosuch", "id": "nosuch/fp32/1x1"}


class Heard(Silent):
    """What was told, in order."""

    def __init__(self):
        self.lines = []

    def stage(self, text):
        self.lines.append(text)


@pytest.mark.alone
def test_what_is_pinned_passes_beside_itself_by_what_the_store_knows(shop):
    shop.remember(spread=0.02)
    heard = Heard()
    night = api.check(budget="10m", reporter=heard)
    (answer,) = night.answers
    (service,) = [each for each in answer.figures if each.metric == SERVICE_TIME]
    assert service.mde is not None
    assert night.exit_code == (3 if service.mde > 0.1 else 0), "a busy machine is too noisy to tell"
    assert service.sessions >= 3
    assert heard.lines[0] == f"checking 1 pinned benchmark of {NAME}, within 10 minutes in all"
    assert heard.lines.index(night.plan[0]) < len(heard.lines)
    assert "within " in night.plan[-1]
    assert (night.status, night.pins[NAME]) == ("finished", shop.pin().digest)
    assert night.pins[BENCHMARK] == shop.pin().digest_of(shop.pin().candidates[0])
    assert [each.number for each in answer.sessions if each.stage == "screen"] == [1, 2, 3]
    assert api.history().series[0].benchmark == BENCHMARK


@pytest.mark.engines
@pytest.mark.alone
def test_half_as_slow_again_is_a_regression_confirmed_by_fresh_sessions(shop):
    shop.serve(ranker(products=2 * PRODUCTS))
    night = api.check()
    assert night.exit_code == 1
    (answer,) = night.answers
    (service,) = [each for each in answer.figures if each.metric == SERVICE_TIME]
    assert service.status == "regression"
    assert 0.25 < service.low <= service.change
    assert {each.status for each in answer.figures if each.metric != SERVICE_TIME and each.gate is not None} == {"ok"}
    assert len([each for each in answer.sessions if each.stage == "confirm"]) == 8


@pytest.fixture
def quick(monkeypatch):
    """Sessions are played by a function and start no engine."""

    def by(play):
        monkeypatch.setattr(session, "play", play)

    by(played())
    return by


def failing(side, since=0):
    """Sessions of which that side fails from the so-many-th on."""
    good, count = played(), [0]

    def play(sides, stage, number):
        count[0] += 1
        if count[0] > since and (side == NOW or sides.baseline):
            raise SideFailed(side, StageFailed("load", "crashed", "it crashed"))
        return good(sides, stage, number)

    return play


@pytest.mark.engines
def test_a_baseline_that_fails_half_way_leaves_what_was_measured_beside_it(shop, quick):
    shop.remember()
    quick(failing(BASELINE, since=2))
    night = api.check()
    (answer,) = night.answers
    assert (night.exit_code, answer.status, answer.stored) == (3, "inconclusive", False)
    assert answer.reason == (
        "its baseline cannot be run any more: it crashed; service_time: measured in 2 of 3 sessions"
    )
    assert len(answer.sessions) == 2
    assert all(SERVICE_TIME in each.changes for each in answer.sessions)


def test_a_baseline_that_never_starts_has_stored_figures_which_tell_later_nights_nothing(shop, quick):
    quick(failing(BASELINE))
    night = api.check()
    (answer,) = night.answers
    assert answer.stored
    assert night.exit_code in (1, 3), "nothing passes by stored figures"
    assert {each.baseline[SERVICE_TIME] for each in answer.sessions} == {
        shop.pin().candidates[0].stands_in[SERVICE_TIME]
    }
    with Nights.open(shop.store) as store:
        assert store.sessions(NAME, CANDIDATE) == ()
    quick(played())
    shop.remember()
    assert api.check().exit_code == 0


def test_what_is_here_now_and_fails_is_missing_and_its_sessions_stay_in_the_store(shop, quick):
    quick(failing(NOW, since=1))
    night = api.check()
    (answer,) = night.answers
    assert (night.exit_code, answer.status) == (2, "missing")
    assert answer.reason == "cannot be run any more: now: load: crashed: it crashed"
    assert len(shop.last_night().sessions) == 1


def test_a_budget_that_is_too_short_says_so_and_is_no_pass(shop, quick):
    night = api.check(budget="8s")
    (answer,) = night.answers
    assert (night.exit_code, answer.sessions) == (2, ())
    assert answer.reason.startswith("nothing was measured: the budget ended before its first session")
    assert shop.last_night().status == "finished"


def test_the_culprit_is_added_to_an_answer_that_is_in_the_store_by_then(shop, quick, monkeypatch):
    quick(played(0.5))
    seen = []

    def culprit(found, answer, budget, reporter):
        seen.extend(each.answer["status"] for each in shop.last_night().answers)
        return "numpy 1 -> 2"

    monkeypatch.setattr(bisecting, "culprit", culprit)
    night = api.check(bisect=True)
    assert seen == ["regression"]
    assert [answer.culprit for answer in night.answers] == ["numpy 1 -> 2"]
    assert night.command == "bakeoff check --bisect"
    monkeypatch.setattr(bisecting, "culprit", lambda *_: pytest.fail("nobody asked"))
    assert [answer.culprit for answer in api.check().answers] == [""]


def test_against_stored_figures_nothing_is_bisected(shop, quick, monkeypatch):
    shop.edit(lambda values: values["candidates"][0]["stored"].update(service_time=[1e-4]))
    quick(failing(BASELINE))
    monkeypatch.setattr(bisecting, "culprit", lambda *_: pytest.fail("there is no baseline to replay"))
    night = api.check(bisect=True)
    assert (night.exit_code, night.answers[0].stored) == (1, True)


def test_a_cache_that_is_full_while_it_bisects_loses_no_regression(shop, quick, monkeypatch):
    quick(played(0.5))

    def full(*_):
        raise UserError("the cache cannot be written there (No space left on device)")

    monkeypatch.setattr(bisecting, "culprit", full)
    night = api.check(bisect=True)
    assert (night.exit_code, night.status) == (1, "finished")
    assert night.answers[0].culprit == "not found: the cache cannot be written there (No space left on device)"
    assert night.answers[0].blamed == ""


def test_being_stopped_while_it_bisects_ends_the_search_and_loses_no_regression(shop, quick, monkeypatch):
    second = json.loads(shop.pin_file.read_text())
    second["scenario"]["name"] = "second"
    shop.pin_file.with_name("second.json").write_text(json.dumps(second))
    quick(played(0.5))
    asked = []

    def stopped(*words):
        asked.append(words)
        raise KeyboardInterrupt

    monkeypatch.setattr(bisecting, "culprit", stopped)
    try:
        night = api.check(bisect=True)
    finally:
        shop.pin_file.with_name("second.json").unlink()
    assert (night.exit_code, night.status, len(asked)) == (1, "finished", 1)
    assert [each.culprit for each in night.answers] == ["not found: it was stopped"] * 2


def test_a_bug_in_a_bisection_loses_no_answer(shop, quick, monkeypatch):
    quick(played(0.5))
    monkeypatch.setattr(bisecting, "culprit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        api.check(bisect=True)
    night = shop.last_night()
    assert night.status == "stopped"
    assert [each.answer["status"] for each in night.answers] == ["regression"]


def test_what_lost_its_pin_since_the_last_such_night_is_told_once(shop, quick):
    both = json.loads(json.dumps(json.loads(shop.pin_file.read_text())))
    shop.edit(lambda values: values["candidates"].append(values["candidates"][0] | GONE))
    assert not any("is not any more" in line for line in api.check().plan)
    assert not any("is not any more" in line for line in api.check(NAME).plan), "that is another question"
    shop.pin_file.write_text(json.dumps(both))
    heard = Heard()
    (line,) = [line for line in api.check(reporter=heard).plan if "is not any more" in line]
    assert line.startswith(f"{NAME}: nosuch/fp32/1x1 was checked in night ")
    assert line in heard.lines
    assert not any("is not any more" in line for line in api.check().plan)


def test_who_shares_a_store_is_not_told_what_others_do_not_check(shop, quick):
    api.check()
    shop.edit(lambda values: values["candidates"][0].update(GONE))
    assert not any("is not any more" in line for line in api.check().plan)


def test_each_answer_holds_the_versions_that_it_ran_on(shop, quick):
    (answer,) = api.check().answers
    assert answer.versions["onnxruntime"] == version("onnxruntime")
    assert answer.versions["python"]
    assert "pytest" not in answer.versions, "what the engine does not need is no part of it"


def test_a_store_in_postgresql_keeps_what_a_check_found(shop, quick, postgres_place):
    assert api.check(store=postgres_place).status == "finished"
    quick(played(0.5))
    night = api.check(store=postgres_place)
    assert night.exit_code == 1
    assert [each.night for each in api.nights(postgres_place)][-1] == night.night
    assert len(api.history(store=postgres_place).series[0].points) == 2
    assert not shop.store.exists()


def test_a_second_check_at_the_same_time_is_refused_and_the_next_is_not(shop, quick):
    with alone(), pytest.raises(UserError, match="another check or pin is under way on this machine"):
        api.check()
    with Nights.open(shop.store) as store:
        assert store.nights() == ()
    assert api.check().status == "finished"


@pytest.mark.engines
def test_a_clock_set_back_changes_neither_the_order_nor_the_answers(shop, quick, monkeypatch):
    shop.remember()
    first = api.check()
    at = datetime.now(UTC) - timedelta(days=2)

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            nonlocal at
            at -= timedelta(minutes=1)
            return at

    for module in ("bakeoff.store.opened", "bakeoff.store.plain", "bakeoff.nightly.session"):
        monkeypatch.setattr(f"{module}.datetime", Clock)
    second = api.check()
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert second.finished_at < second.started_at < first.started_at
    with Nights.open(shop.store) as store:
        assert store.nights()[:2] == (second.night, first.night)
    assert list(api.history().nights)[-2:] == [first.night, second.night]


FULL = """
import resource, sys
from unittest import mock
from nightly_shop import played
from bakeoff.cli import main
from bakeoff.nightly import session
from bakeoff.store.nights import Nights

added, add = [], Nights.add_session

def full(self, *given):
    added.append(given)
    if len(added) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    add(self, *given)

sys.argv = ["bakeoff", "check"]
with mock.patch.object(Nights, "add_session", full), mock.patch.object(session, "play", played()):
    main()
"""


def test_a_full_disk_is_one_clear_line_and_what_was_stored_stays(shop):
    """From the third session on no file may grow."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"bakeoff: store {shop.store}: ")
    assert "Traceback" not in done.stderr
    night = shop.last_night()
    assert [each.number for each in night.sessions] == [1, 2]
    assert (night.status, night.answers) == ("running", ())
    with Nights.open(shop.store) as store:
        store.finish_night(night.night, "stopped")


def benchmark_file(path, q1, load=LOAD, machine=None, of=BENCHMARK):
    """What `pytest --bakeoff --benchmark-json` writes, as far as it is read."""
    stats = {"median": q1 * 1.1, "q1": q1, "q3": q1 * 1.2, "iqr": q1 * 0.2, "rounds": 50}
    told = {"benchmark": of, "load": load, "host": host.host_id() if machine is None else "another"}
    document = {
        "machine_info": {"cpu": machine or {}},
        "benchmarks": [
            {"fullname": of, "stats": stats, "extra_info": told},
            {"fullname": "test_a.py::test_a", "stats": stats},
        ],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("times", "status", "code"), [(1.0, "inconclusive", 3), (3.0, "regression", 1), (1.3, "inconclusive", 3)]
)
def test_a_file_of_pytest_benchmark_stands_in_with_wide_bounds(shop, quick, tmp_path, times, status, code):
    file = benchmark_file(tmp_path / "out.json", 1e-3 / times)
    heard = Heard()
    night = api.check("scenarios", baseline=file, reporter=heard)
    (answer,) = night.answers
    assert (answer.benchmark, answer.status, answer.stored) == (BENCHMARK, status, True)
    assert night.exit_code == code
    assert answer.reason.startswith("out.json holds service times alone")
    assert [each.metric for each in answer.figures if each.gate is not None] == [SERVICE_TIME]
    assert answer.figures[0].baseline == pytest.approx(1e-3 / times)
    assert "1 benchmark of shop beside the stored figures of" in heard.lines[0]
    assert "1 others in the file" in heard.lines[0]
    assert night.pins.keys() == {NAME, f"{NAME}: {CANDIDATE}"}
    assert api.check("scenarios", baseline=file, bisect=True).answers[0].culprit == ""


@pytest.mark.engines
@pytest.mark.alone
def test_real_sessions_are_set_beside_a_file_too(shop, tmp_path):
    measured = shop.pin().candidates[0].stands_in[SERVICE_TIME]
    night = api.check(baseline=benchmark_file(tmp_path / "out.json", measured / 20))
    assert night.exit_code == 1
    assert night.answers[0].figures[0].change > 3


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"load": "open loop"}, "not comparable: timed under another load (open loop)"),
        ({"load": ""}, "not comparable: timed under another load (it does not say which)"),
        (
            {"machine": {"brand_raw": "Z80", "count": 1}},
            "not comparable: measured on another kind of machine (Z80, 1 cores; here ",
        ),
        ({"machine": {"brand_raw": host.cpu_model()}}, "not comparable: measured on another kind of machine ("),
        ({"of": "shop: nosuch/fp32/1x1"}, "none of its backends is installed: nosuch"),
        ({"of": "shop: onnxruntime/fp32/9x9"}, "its backend does not offer it any more"),
    ],
)
def test_what_cannot_be_compared_is_reported_as_such(shop, quick, tmp_path, given, reason):
    night = api.check(baseline=benchmark_file(tmp_path / "out.json", 1e-3, **given))
    (answer,) = night.answers
    assert (answer.status, night.exit_code) == ("missing", 2)
    assert answer.reason.startswith(reason)


def test_another_machine_of_the_same_kind_is_comparable():
    same = {"cpu": host.cpu_model(), "cores": os.cpu_count()}
    figures = StoredFigures(1.0, LOAD, "another", **same)
    assert incomparable(figures) == ""


def test_a_file_without_what_is_asked_for_is_one_line(shop, tmp_path):
    asked = [load_scenario("scenarios/shop.yaml")]
    with pytest.raises(
        UserError, match=r"out\.json: holds no benchmark of the scenarios asked; it has other: x, test_a"
    ):
        Figures(benchmark_file(tmp_path / "out.json", 1e-3, of="other: x"), asked)
    with pytest.raises(UserError, match=r"--candidate mnn: is in no asked benchmark of "):
        Figures(benchmark_file(tmp_path / "out.json", 1e-3), asked, ["mnn"])
    with pytest.raises(
        UserError, match=r"^--baseline .*shop\.json: is no file of pytest-benchmark: .* by their folder$"
    ):
        Figures(shop.pin_file, asked)
    digests = Figures(benchmark_file(tmp_path / "out.json", 1e-3), asked, [CANDIDATE]).digests
    assert digests.keys() == {NAME, f"{NAME}: {CANDIDATE}"}
    file = tmp_path / "out.json"
    file.write_text(f"{file.read_text()}\n")
    again = Figures(file, asked, [CANDIDATE]).digests
    assert digests.items() & again.items() == {(f"{NAME}: {CANDIDATE}", digests[f"{NAME}: {CANDIDATE}"])}
    assert (
        Figures(benchmark_file(tmp_path / "out.json", 1e-3), asked).culprit(0, Answer(NAME, "x", "ok"), None, None)
        == ""
    )
