"""A technique's script by an interpreter of its own: what it is told, how it ends, and where it cannot be had."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakeoff.backends import Unavailable
from bakeoff.workloads import apart, venvs

WANTED = ["no-such-project==1.0"]


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Write a script, to be run by an environment that has this Python."""
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(venvs, "made", lambda name, requirements, remedy: environment)

    def write(text):
        path = tmp_path / "some_script.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No package index and nothing kept of one."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))


def test_it_gets_its_words_and_settings_and_none_of_our_packages(script, monkeypatch, tmp_path, capfd) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(apart.__file__).parents[2]))
    path = script(
        "import os, sys, importlib.util\n"
        "print('chatter')\n"
        "found = [sys.argv[1], os.environ['WHAT'], str(importlib.util.find_spec('bakeoff'))]\n"
        "open(sys.argv[2], 'w').write(' '.join(found))\n"
    )
    apart.run(path, ["word", str(tmp_path / "told")], [], {"WHAT": "set"})
    assert (tmp_path / "told").read_text() == "word set None"
    assert capfd.readouterr() == ("", "")


def test_a_script_that_fails_is_told_by_its_last_line(script) -> None:
    with pytest.raises(RuntimeError, match=r"^some_script: ValueError: too odd$"):
        apart.run(script("print('chatter')\nraise ValueError('too odd')"), [], [], {})
    with pytest.raises(RuntimeError, match=r"^some_script: status 7$"):
        apart.run(script("import os; os._exit(7)"), [], [], {})


@pytest.mark.slow
def test_a_script_that_does_not_end_is_ended(script, tmp_path) -> None:
    path = script("import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)")
    with pytest.raises(RuntimeError, match="some_script had not ended after 10 s"):
        apart.run(path, [str(tmp_path / "pid")], [], {}, limit_s=10)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's order to die is Linux's")
def test_a_script_dies_with_its_parent(script, tmp_path) -> None:
    path = script("import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)")
    code = (
        "import sys; from pathlib import Path; from bakeoff.workloads import apart, venvs\n"
        "venvs.made = lambda *_: Path(sys.argv[1])\n"
        "apart.run(Path(sys.argv[2]), [sys.argv[3]], [], {})"
    )
    told = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "environment"), str(path), str(told)]) as parent:
        wait_for(lambda: told.exists() and told.read_text())
        child = Path(f"/proc/{told.read_text()}")
        assert child.exists()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2])


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen in a minute")


def test_an_environment_that_cannot_be_made_has_a_reason_and_a_remedy(offline, tmp_path) -> None:
    with pytest.raises(Unavailable) as raised:
        apart.run(tmp_path / "some_script.py", [], WANTED, {})
    assert "no-such-project" in raised.value.reason
    assert "\n" not in raised.value.reason
    assert raised.value.remedy.endswith("and a Python that no-such-project==1.0 have wheels for")
