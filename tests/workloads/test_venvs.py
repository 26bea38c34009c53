"""Environments of their own: which are made, and where. What uv makes is tested in measure/test_environments.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakeoff.workloads import venvs

LONG_AGO_S = 1e9


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What uv is asked to do, which it does with this Python's interpreter; and with what in its environment."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UV_PYTHON_INSTALL_DIR", raising=False)
    asked = []

    def run(line, env, **_):
        words = line[line.index("--no-progress") + 1 :]
        asked.append((words[0], env["UV_PYTHON_INSTALL_DIR"]))
        if words[0] == "venv":
            link(Path(words[-1]), sys.executable)
        return subprocess.CompletedProcess(line, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def link(environment, python):
    found = environment / venvs.PYTHON
    found.parent.mkdir(parents=True, exist_ok=True)
    found.unlink(missing_ok=True)
    found.symlink_to(python)


def test_an_environment_whose_python_is_gone_is_made_again(asked, tmp_path):
    place = venvs.made("engine", ["onnxruntime"])
    assert venvs.made("engine", ["onnxruntime"]) == place
    assert [word for word, _ in asked] == ["venv", "pip"], "made once"
    link(place, tmp_path / "gone" / "bin" / "python3")
    (place / "left").touch()
    assert venvs.made("engine", ["onnxruntime"]) == place
    assert [word for word, _ in asked] == ["venv", "pip"] * 2
    assert (place / venvs.PYTHON).exists()
    assert not (place / "left").exists()


def test_pythons_are_kept_with_the_environments_that_they_run_and_used_with_them(asked, tmp_path, monkeypatch):
    place = venvs.made("engine", ["onnxruntime"])
    pythons = tmp_path / "cache" / "pythons"
    assert {where for _, where in asked} == {str(pythons)}
    python = pythons / "cpython-3.10" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.touch()
    link(place, python)
    home = python.parents[1]
    os.utime(home, (LONG_AGO_S, LONG_AGO_S))
    venvs.made("engine", ["onnxruntime"])
    assert home.stat().st_mtime > LONG_AGO_S
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", "elsewhere")
    venvs.made("other", ["onnxruntime"])
    assert asked[-1] == ("pip", "elsewhere"), "who has a place for them is asked to keep it"
