"""No descendant outlives the parent, however it dies."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache

import pytest

from bakeoff.backends import Setting
from bakeoff.measure import guard, procs, warden
from bakeoff.measure.guard import Guard
from bakeoff.measure.wire import artifact_message, setting_of

pytestmark = pytest.mark.alone

PARENT = """
import json, sys, time
from pathlib import Path
from bakeoff.backends import Setting
from bakeoff.measure.engine_room import Engine, Order
from bakeoff.measure.guard import guard
from bakeoff.measure.wire import artifact_of

given = json.loads(sys.argv[1])
engines = []
for name in given["names"]:
    order = Order("naughty_backends:" + name, artifact_of(given["artifact"]), Setting("1x1"), "cpu", "threads", (0,),
                  None, Path(given["prepared"]), Path(given["log"]))
    engines.append(Engine.launch(order, 60))
for engine in engines:
    if not engine.order.target.endswith("Hangs"):
        engine.ready(60)
time.sleep(1)
print(guard().run, guard().folder, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_is_killed(bench, tmp_path, how):
    given = {
        "names": ["Hangs", "Parent", "Honest"],
        "artifact": artifact_message(bench.artifact),
        "prepared": str(bench.prepared),
        "log": str(tmp_path / "log"),
    }
    parent = subprocess.Popen([sys.executable, "-c", PARENT, json.dumps(given)], stdout=subprocess.PIPE, text=True)
    try:
        run, folder = parent.stdout.readline().split()
        alive = procs.marked(run)
        assert len(alive) == 4, "three workers and the grandchild in a session of its own"
        assert os.path.isdir(folder)  # noqa: PTH112
    finally:
        parent.send_signal(how)
        parent.wait()
        parent.stdout.close()
    until = time.monotonic() + 10
    while (left := procs.marked(run)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left
    while os.path.isdir(folder) and time.monotonic() < until:  # noqa: PTH112
        time.sleep(0.02)
    assert not os.path.isdir(folder)  # noqa: PTH112


def test_closing_an_engine_ends_what_it_started(bench):
    with bench.start("Parent") as engine:
        assert engine.closed(0.05).answered.all()
        sleepers = procs.descendants(engine._children[0].process.pid)
        assert sleepers
    for pid in sleepers:
        until = time.monotonic() + 5
        while procs.resident_bytes(pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert not procs.resident_bytes(pid)


def test_threads_that_come_at_once_have_one_guard(monkeypatch):
    """With two, keys would be the same, and the first child to end would take the other's along."""
    made = []

    def slow(_pid):
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    monkeypatch.setattr(guard, "_guard_of", cache(slow))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: guard.guard(), range(4)))
    assert found == {*made}
    assert len(made) == 1


def test_a_guard_ends_with_its_warden():
    guard = Guard()
    mark = guard.mark(guard.key())
    child = subprocess.Popen(["sleep", "1000"], env=os.environ | {procs.MARK: mark}, start_new_session=True)
    guard.watch("1", [child.pid], None, guard.folder)
    guard.close()
    assert child.wait(10) == -signal.SIGKILL
    assert not guard.folder.exists()


def test_another_warden_takes_over_where_one_was_killed():
    guard = Guard()
    try:
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        guard.watch("1", [child.pid], None, guard.folder)
        guard._warden.kill()
        guard._warden.wait()
        guard.watch("2", [], None, guard.folder)
    finally:
        guard.close()
    assert child.wait(10) == -signal.SIGKILL


def test_mapped_requests_do_not_count_against_the_limit(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(procs, "resident_bytes", lambda pid: 150)
    monkeypatch.setattr(procs, "resident_bytes_under", lambda pid, folder: asked.append(pid) or 60)
    watched = warden.Watched([7], 100, tmp_path)
    assert watched.excess_bytes() == 0
    assert watched.excess_bytes() == 0
    assert asked == [7], "known to be mapped, not looked up again"
    monkeypatch.setattr(procs, "resident_bytes", lambda pid: 170)
    assert watched.excess_bytes() == 110
    assert warden.Watched([7], None, tmp_path).excess_bytes() == 0


def test_the_warden_leaves_a_note_and_ends_the_offender(tmp_path):
    ours = warden.Warden("no-such-run", tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    message = {"watch": "3", "pids": [child.pid], "limit_bytes": 1, "mapped": "/nowhere"}
    ours.hear(json.dumps(message).encode())
    assert not ours.idle()
    ours.poll()
    assert child.wait(10) == -signal.SIGKILL
    assert int((tmp_path / "folder" / "3.oom").read_text()) > 1
    assert ours.idle()
    ours.hear(b'{"watch": "4", "pids": [], "limit_bytes": 5, "mapped": "/nowhere"}')
    ours.hear(b'{"forget": "4"}')
    assert ours.idle()
    ours.sweep()
    assert not (tmp_path / "folder").exists()


def test_what_linux_tells(tmp_path):
    me = os.getpid()
    child = subprocess.Popen(["sleep", "1000"], env={procs.MARK: "run.5"})
    try:
        assert child.pid in procs.descendants(me)
        until = time.monotonic() + 5
        while child.pid not in procs.marked("run.5") and time.monotonic() < until:
            time.sleep(0.01)  # a process that has just become another program has no environment yet
        assert child.pid in procs.marked("run") & procs.marked("run.5")
        assert child.pid not in procs.marked("ru") | procs.marked("run.")
    finally:
        procs.kill([child.pid])
        child.wait()
    assert procs.resident_bytes(me) > 0
    assert procs.peak_resident_bytes(me) >= procs.resident_bytes_under(me, tmp_path) == 0
    assert procs.threads(me) >= 1
    assert procs.cpu_ns(me) >= 0
    gone = 1 << 22
    assert (
        procs.resident_bytes(gone) == procs.cpu_ns(gone) == procs.threads(gone) == procs.peak_resident_bytes(gone) == 0
    )
    procs.kill([gone])
    procs.kill_group(gone)


def test_settings_survive_the_wire():
    setting = Setting("a", 2, 3, {"spin": False})
    assert setting_of(asdict(setting)) == setting
