"""`bakeoff check`, as a person or a CI job runs it: what it prints, and above all its exit code."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nightly_shop import BENCHMARK, CANDIDATE, played, ranker

import bakeoff.api
from bakeoff.cli import main
from bakeoff.errors import UserError
from bakeoff.nightly import bisecting, here, session
from bakeoff.nightly.alone import alone
from bakeoff.show.nightly import pages
from bakeoff.store.nights import Nights

pytestmark = pytest.mark.slow


@pytest.fixture
def check(shop, monkeypatch, capsys):
    """`bakeoff check` with sessions that are played by a function: standard output and standard error."""
    monkeypatch.setattr(session, "play", played())

    def run(*words, code=0, verb="check"):
        monkeypatch.setattr(sys, "argv", ["bakeoff", verb, *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told
        return told.out, told.err

    return run


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def strictly(text):
    return json.loads(text, parse_constant=refuse)


def test_what_is_as_it_was_pinned_is_ok(check, shop):
    shop.remember()
    out, err = check("--budget", "10m")
    assert "The night: OK" in out
    assert BENCHMARK in out
    assert "checking 1 pinned benchmark of shop, within 10 minutes in all" in err
    assert "a false alarm in at most 1% of nights" in err
    out, _ = check("shop", "shop", "--candidate", CANDIDATE, "--json")
    found = strictly(out)
    assert (found["verdict"], found["exit_code"], len(found["answers"])) == ("ok", 0, 1)
    assert len(found["answers"][0]["sessions"]) == 3


@pytest.mark.parametrize(
    ("served", "told"),
    [
        pytest.param({"rows": 5000}, "artifact size", marks=pytest.mark.engines),
        ({"noise": 0.3}, "auc lost"),
        ({}, "service time 6"),
    ],
)
def test_what_grew_ranks_worse_or_is_slower_is_a_regression(check, shop, monkeypatch, served, told):
    shop.remember()
    shop.serve(ranker(**served))
    if not served:
        monkeypatch.setattr(session, "play", played(0.5))
    out, _ = check("--json", code=1)
    found = strictly(out)
    (answer,) = found["answers"]
    assert [each["status"] for each in answer["figures"] if each["gate"] is not None].count("regression") == 1
    assert told in found["headline"]
    assert answer["reason"]


def test_nothing_measured_is_no_pass(check):
    out, _ = check("--budget", "8s", code=2)
    assert "nothing was measured: the budget ended before its first session" in " ".join(out.split())
    assert "The night: MISSING" in out
    assert "gone" not in out


def nosuch(values):
    values["candidates"][0].update(backend="nosuch", id="nosuch/fp32/1x1")


def another_machine(values):
    values["host"].update(cores=1234)
    values["workload"].update(kept="0" * 64, model="0" * 64)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (nosuch, "none of its backends is installed: nosuch"),
        (
            another_machine,
            "its baseline cannot be run: prepared workload: its bytes are not in this machine's cache,"
            " and the model here is not the pinned one; it was pinned on another kind of machine (cores: 1234, now",
        ),
    ],
)
def test_an_engine_that_is_gone_and_a_pin_of_another_machine_are_told_and_stored_as_missing(check, shop, spoil, reason):
    shop.edit(spoil)
    out, err = check(code=2)
    assert "The night: MISSING" in out
    assert "Traceback" not in err
    (kept,) = shop.last_night().answers
    assert kept.answer["status"] == "missing"
    assert kept.answer["reason"].startswith(reason)
    assert shop.last_night().status == "finished"
    assert kept.answer["reason"] in strictly(check("--json", code=2)[0])["headline"]


def test_json_is_strict_where_nothing_is_known(check, shop, monkeypatch):
    monkeypatch.setattr(session, "play", played(float("nan")))
    (answer,) = strictly(check("--json", code=3)[0])["answers"]
    assert answer["reason"].startswith("service_time: screen session 1 gave nan")
    assert {each["now"].get("service_time") for each in answer["sessions"]} == {None}
    shop.edit(nosuch)
    found = strictly(check("--json", code=2)[0])
    assert found["answers"][0]["figures"] == []


def broken(shop):
    shop.pin_file.write_text("<<<<<<< HEAD")


def half(shop):
    shop.pin_file.write_text(shop.pin_file.read_text()[:300])


def none(shop):
    shop.pin_file.unlink()


@pytest.mark.parametrize(
    ("spoil", "words", "complaint"),
    [
        (broken, (), "results/baseline/shop.json: is not valid JSON"),
        (half, (), "results/baseline/shop.json: is not valid JSON"),
        (none, (), "results/baseline: holds no pin (SCENARIO.json); `bakeoff pin --reason TEXT` makes one"),
        (None, ("other",), "results/baseline/other.json: no such pin"),
        (None, ("--candidate", "mnn/fp32/1x1"), "--candidate mnn/fp32/1x1: is not pinned; pinned are"),
        (None, ("--budget", "soon"), "--budget soon: "),
        (None, ("--write", "junit"), "--write junit: must name the form and the file"),
        (None, ("--write", "pdf=a"), "--write pdf: unknown"),
        (None, ("--json", "--write", "summary=-"), "both print on standard output"),
        (None, ("--baseline", "results/baseline/shop.json"), "pins are named by their folder"),
        (None, ("--baseline", "out.json"), "--baseline out.json: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2_and_no_night(check, shop, spoil, words, complaint):
    if spoil:
        spoil(shop)
    out, err = check(*words, code=2)
    assert out == ""
    (said,) = err.splitlines()
    assert said.startswith("bakeoff: ")
    assert complaint in said
    assert not shop.store.exists() or shop.nights() == ()


def test_two_at_once_are_one_too_many(check, shop):
    with alone():
        _, err = check(code=2)
    assert err == "bakeoff: another check or pin is under way on this machine; run this one when it has ended\n"


def test_forms_are_written_and_what_cannot_be_is_told_after_the_night(check, shop, tmp_path):
    shop.remember()
    out, err = check("--write", f"junit={tmp_path / 'check.xml'}", "--write", f"summary={tmp_path / 'check.md'}")
    assert (tmp_path / "check.xml").read_text().startswith("<?xml")
    assert f"wrote {tmp_path / 'check.md'}" in err
    nowhere, after = tmp_path / "nowhere" / "check.xml", tmp_path / "after.csv"
    out, err = check("--write", f"junit={nowhere}", "--write", f"otava={after}", code=2)
    assert "The night: OK" in out
    assert err.splitlines()[-1].endswith("check.xml: cannot be written: No such file or directory")
    assert after.exists(), "one that cannot be written keeps no other from it"
    out, _ = check("--write", "json=-")
    assert strictly(out)["verdict"] == "ok"


def test_a_bug_shows_its_traceback_and_is_no_regression(check, shop, monkeypatch):
    monkeypatch.setattr(session, "play", lambda *_: {}["nothing"])
    _, err = check(code=2)
    assert "KeyError: 'nothing'" in err
    assert shop.last_night().status == "stopped"


def test_an_import_or_a_table_that_breaks_is_no_regression_either(check, shop, monkeypatch):
    shop.remember()
    with monkeypatch.context() as broken:
        broken.setattr(pages, "render", lambda _: 1 / 0)
        _, err = check(code=2)
    assert "ZeroDivisionError" in err
    assert shop.last_night().status == "finished"
    with monkeypatch.context() as broken:
        broken.delattr(bakeoff, "api")
        broken.setitem(sys.modules, "bakeoff.api", None)
        _, err = check(code=2)
    assert "ModuleNotFoundError" in err


PLAYED = """
import sys
from unittest import mock
from nightly_shop import played
from bakeoff.cli import main
from bakeoff.nightly import session
slower = float(sys.argv.pop(1))
with mock.patch.object(session, "play", played(slower)):
    main()
"""


def with_output(slower, *words, **streams):
    """A check as a process of its own, of what is so much slower, with these streams."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PLAYED, str(slower), "check", *words]
    return subprocess.Popen(command, env=environment, text=True, **streams)


@pytest.mark.engines
@pytest.mark.parametrize(("slower", "code"), [(0.0, 2), (0.5, 1)])
@pytest.mark.parametrize("words", [("--json",), (), ("--write", "summary=-")])
def test_a_full_disk_behind_the_output_is_a_line_and_a_regression_stays_one(shop, slower, code, words):
    shop.remember()
    with open("/dev/full", "w") as full, with_output(slower, *words, stdout=full, stderr=subprocess.PIPE) as check:  # noqa: PTH123
        _, err = check.communicate(timeout=120)
    assert check.returncode == code, err
    assert err.splitlines()[-1] == (
        "bakeoff: the output or a file: cannot be written: No space left on device;"
        " the sessions measured so far are in the store"
    )
    assert "Traceback" not in err


@pytest.mark.engines
@pytest.mark.parametrize("words", [("--json",), ()])
def test_a_reader_that_ends_early_is_no_regression(shop, words):
    shop.remember()
    with with_output(0.0, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as check:
        check.stdout.close()
        err = check.stderr.read()
    assert check.returncode == 2, err
    assert err.splitlines()[-1].startswith("bakeoff: what reads the output ended before it did; ")
    with with_output(0.0, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as check:
        check.stderr.close()
        check.stdout.read()
    assert check.returncode == 2


def test_a_full_disk_beside_the_store_is_one_line(check, shop, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/stamps")

    monkeypatch.setattr(session, "play", full)
    _, err = check(code=2)
    assert err.splitlines()[-1] == (
        "bakeoff: /somewhere/stamps: cannot be written: No space left on device;"
        " the sessions measured so far are in the store"
    )
    assert "Traceback" not in err


def test_what_may_not_be_written_is_one_line_and_logs_go_where_they_may(check, shop, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/srv/shop/results")

    with monkeypatch.context() as other:
        other.setattr(session, "play", refused)
        _, err = check(code=2)
    assert err.splitlines()[-1].startswith("bakeoff: /srv/shop/results: cannot be made or opened: Permission denied; ")
    assert "Traceback" not in err
    assert bakeoff.api.logs_folder() == Path("results/logs")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert bakeoff.api.logs_folder() == shop.cache / "logs"


def test_sigterm_is_nobodys_mistake_whatever_goes_on(check, shop, monkeypatch):
    """A scenario that cannot be asked is its benchmark's reason; what ends the check must not be taken for that."""

    def stopped(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(here, "asked", stopped)
    before = signal.getsignal(signal.SIGTERM)
    _, err = check(code=2)
    assert err.splitlines()[-1].startswith("bakeoff: stopped by SIGTERM; ")
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_while_it_bisects_leaves_a_regression_one_and_its_report_written(check, shop, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "play", played(0.5))
    monkeypatch.setattr(bisecting, "culprit", lambda *_: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60)))
    shop.remember()
    out, _ = check("--bisect", "--write", f"junit={tmp_path / 'check.xml'}", code=1)
    assert "what brought it was not found: it was stopped" in " ".join(out.split())
    assert 'failures="1"' in (tmp_path / "check.xml").read_text()


@pytest.mark.engines
def test_history_reads_what_checks_left(check, shop):
    for _ in range(3):
        check()
        shop.remember(1)
    out, _ = check("--json", verb="history")
    (found,) = strictly(out)["benchmarks"]
    assert len(found["nights"]) == 6
    out, _ = check(verb="history")
    assert "service time over 6 nights" in out


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGTERM, 2, "bakeoff: stopped by SIGTERM; the sessions"), (signal.SIGINT, 130, "bakeoff: stopped; the")],
)
def test_a_check_that_is_stopped_half_way_ends_in_order(shop, tmp_path, number, code, line):
    """A real process with real engines: they end with it, and what was measured stays."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "bakeoff", "check"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as check:  # fmt: skip
        try:
            until = time.monotonic() + 120
            while not measured(shop) and check.poll() is None and time.monotonic() < until:
                time.sleep(0.2)
            time.sleep(1.0)
            engines = children(check.pid)
            check.send_signal(number)
            out, err = check.communicate(timeout=60)
        finally:
            check.kill()
    assert (check.returncode, out) == (code, ""), err
    assert err.splitlines()[-1].startswith(line)
    assert "Traceback" not in err
    night = shop.last_night()
    assert (night.status, night.answers) == ("stopped", ())
    assert [each.number for each in night.sessions] == list(range(1, len(night.sessions) + 1))
    assert night.sessions
    assert engines
    assert not [pid for pid in engines if alive(pid)]
    with alone():
        pass


def measured(shop):
    """Whether a session is in the store; while it is being made there is none."""
    try:
        return bool(shop.sessions())
    except UserError:
        return False


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
        return file.read().split()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_check_leaves_a_store_that_the_next_uses(check, shop):
    with Nights.open(shop.store) as store:
        store.begin_night("bakeoff check", {}, {}, {})
    shop.remember()
    out, _ = check("--json")
    assert strictly(out)["status"] == "finished"
