"""The lock of an environment: read from what is really installed, and really made again by uv."""

import hashlib
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from bakeoff.backends import Resources, registered
from bakeoff.measure import environments
from bakeoff.measure.engine_room import HERE, Interpreter, StageFailed, probe
from bakeoff.nightly import lock
from bakeoff.nightly.lock import Lock, Now

PLUGIN = """
from bakeoff.backends import Backend, Facts

class Shop(Backend):
    name, formats = "shop", ("onnx",)
    def probe(self, device):
        return Facts("{version}")
    def load(self, artifact, setting, device):
        raise NotImplementedError
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "shop-plugin"
version = "1.0"
dependencies = ["packaging"]
[tool.hatch.build.targets.wheel]
only-include = ["shop_plugin.py"]
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def point():
    return registered()["onnxruntime"]


def git(folder, *words):
    named = ["-c", "user.name=Shop", "-c", "user.email=shop@example.org"]
    done = subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A plugin in a git work tree, which runs in place: the work tree's root and the plugin's entry point."""
    folder = tmp_path / "project" / "plugins" / "shop"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "shop_plugin.py").write_text(PLUGIN.format(version="1"))
    root = tmp_path / "project"
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    info = folder / "shop_plugin-1.0.dist-info"
    info.mkdir()
    (root / ".git" / "info" / "exclude").write_text("*.dist-info\n__pycache__\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-plugin\nVersion: 1.0\nRequires-Dist: packaging\n")
    (info / "entry_points.txt").write_text("[bakeoff.backends]\nshop = shop_plugin:Shop\n")
    (info / "direct_url.json").write_text(f'{{"url": "{folder.as_uri()}", "dir_info": {{"editable": true}}}}')
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{':'.join(filter(None, sys.path))}")
    return root, registered()["shop"]


def with_packages(now, **versions):
    """The lock with other versions of some packages."""
    lines = now.lock.by_name() | {name: f"{name}=={each}" for name, each in versions.items()}
    return Lock(python=now.lock.python, packages=tuple(sorted(lines.values())))


def test_it_holds_the_closure_of_what_the_engine_needs_as_installed(point):
    now = lock.installed(point)
    held = now.lock.by_name()
    for name in ("onnxruntime", "numpy", "onnx", "onnx-ir", "protobuf", "flatbuffers"):
        assert held[name] == f"{name}=={version(name)}"
    assert not held.keys() & {"bakeoff", "torch", "pandas", "rich", "pydantic"}, "others' packages are no part of it"
    assert now.lock.python == platform.python_version()
    assert now.warnings == ()


def test_another_build_of_the_engine_is_locked_with_what_its_extra_brings(point, tmp_path):
    """An environment with onnxruntime-gpu has no onnxruntime."""
    for name, metadata in {
        "onnxruntime_gpu-1.31.0": "Requires-Dist: numpy\nRequires-Dist: nvidia-cudnn; extra == 'cudnn'\n",
        "numpy-2.4.1": "",
        "nvidia_cudnn-9.1.0": "",
        "pandas-3.0.0": "",
    }.items():
        project, _, number = name.partition("-")
        (tmp_path / f"{name}.dist-info").mkdir()
        head = f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: {number}\n"
        (tmp_path / f"{name}.dist-info" / "METADATA").write_text(head + metadata)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho \'["3.11.9", ["{tmp_path}"]]\'\n')
    python.chmod(0o755)
    now = lock.installed(point, Interpreter(str(python), ""))
    assert now.lock == Lock(
        python="3.11.9", packages=("numpy==2.4.1", "nvidia-cudnn==9.1.0", "onnxruntime-gpu==1.31.0")
    )


def test_a_local_version_stays_as_it_is():
    held = lock.installed(registered()["torch"]).lock.by_name()
    assert held["torch"] == f"torch=={version('torch')}"


def test_where_nothing_differs_nothing_is_made(point, cache):
    now = lock.installed(point)
    assert lock.differs(now.lock, now) == []
    assert lock.interpreter_of(now.lock, point) == HERE
    assert not cache.exists()


def test_what_differs_is_named_with_both_versions(point):
    now = lock.installed(point)
    lines = [line for line in now.lock.packages if not line.startswith("sympy")]
    pinned = Lock(python="3.11.0", packages=(*lines, "gone==2.0"))
    pinned = with_packages(Now(pinned), onnxruntime="1.30.0")
    assert lock.differs(pinned, now) == [
        ("python", "3.11.0", now.lock.python),
        ("gone", "2.0", ""),
        ("onnxruntime", "1.30.0", version("onnxruntime")),
        ("sympy", "", version("sympy")),
    ]
    assert lock.differs(lock.mixed(pinned, now.lock, {"python", "gone", "sympy"}), now) == [
        ("onnxruntime", "1.30.0", version("onnxruntime"))
    ]


@pytest.mark.engines
@pytest.mark.slow
def test_the_pinned_engine_runs_in_an_environment_made_of_the_lock_alone(point, tmp_path):
    pinned = with_packages(lock.installed(point), onnxruntime="1.30.0")
    runner = lock.interpreter_of(pinned, point)
    found = probe(point.value, "cpu", Resources(1), tmp_path / "log", interpreter=runner)
    assert found.facts.version == "1.30.0"
    assert lock.interpreter_of(pinned, point) == runner, "made once"
    there = lock.installed(point, runner)
    assert lock.differs(pinned, there) == [], "exactly what was locked"
    assert lock.interpreter_of(pinned, point, here=runner) == runner, "an environment of its own that holds it already"
    program = "import importlib.util as u; print(u.find_spec('pandas'), u.find_spec('rich'))"
    done = subprocess.run([runner.python, "-c", program], env=runner.environment, capture_output=True, text=True)
    assert done.stdout == "None None\n"


def test_what_cannot_be_made_is_a_row_with_a_remedy(point, cache):
    with pytest.raises(StageFailed) as failed:
        lock.interpreter_of(with_packages(lock.installed(point), onnxruntime="0.0.1"), point)
    assert (failed.value.stage, failed.value.outcome) == ("probe", "unavailable")
    assert "onnxruntime==0.0.1" in failed.value.reason
    assert "UV_INDEX" in failed.value.remedy
    assert [path.name for path in (cache / "environments").iterdir() if path.is_dir()] == [], "nothing half made"


def test_another_python_that_is_not_there_is_a_row_too(point, monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    pinned = Lock(python="3.11.0", packages=lock.installed(point).lock.packages)
    with pytest.raises(StageFailed, match=r"3\.11\.0"):
        lock.interpreter_of(pinned, point)


def test_an_interpreter_that_does_not_answer_is_a_row(point, tmp_path):
    with pytest.raises(StageFailed, match="does not say what it holds"):
        lock.installed(point, Interpreter(str(tmp_path / "none")))


def test_a_plugin_from_the_project_is_locked_at_the_commit_that_last_changed_it(plugin):
    root, point = plugin
    commit = git(root, "rev-parse", "HEAD")
    now = lock.installed(point, root=root)
    assert now.lock.by_name()["shop-plugin"] == f"shop-plugin @ git+file:.@{commit}#subdirectory=plugins/shop"
    assert now.lock.by_name()["packaging"] == f"packaging=={version('packaging')}"
    (root / "README").write_text("more")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "nothing of the plugin's")
    assert lock.differs(now.lock, lock.installed(point, root=root)) == []


def test_uncommitted_changes_are_warned_of_and_differ(plugin):
    root, point = plugin
    before = lock.installed(point, root=root)
    (root / "plugins" / "shop" / "shop_plugin.py").write_text(PLUGIN.format(version="2"))
    now = lock.installed(point, root=root)
    assert now.warnings == ("shop-plugin: has uncommitted changes, which the lock does not hold; commit them",)
    ((name, pinned, here),) = lock.differs(before.lock, now)
    assert name == "shop-plugin"
    assert here == f"{pinned} with uncommitted changes"


def test_what_git_does_not_track_is_no_change(plugin):
    """Such as a cache in the project, results, and what a build left."""
    root, point = plugin
    before = lock.installed(point, root=root)
    for name in (".bakeoff-cache", "results", "plugins/shop/build"):
        (root / name).mkdir()
        (root / name / "left").touch()
    now = lock.installed(point, root=root)
    assert now.warnings == ()
    assert lock.differs(before.lock, now) == []


@pytest.mark.engines
@pytest.mark.slow
def test_a_plugin_that_changed_runs_as_it_was_committed(plugin, tmp_path):
    root, point = plugin
    pinned = lock.installed(point, root=root).lock
    (root / "plugins" / "shop" / "shop_plugin.py").write_text(PLUGIN.format(version="2"))
    git(root, "commit", "-qam", "another")
    runner = lock.interpreter_of(pinned, point, root=root)
    asked = (point.value, "cpu", Resources(1), tmp_path / "log")
    assert probe(*asked).facts.version == "2"
    assert probe(*asked, interpreter=runner).facts.version == "1"


@pytest.mark.engines
@pytest.mark.slow
def test_a_plugin_that_did_not_change_is_linked_in(plugin, tmp_path):
    root, point = plugin
    pinned = with_packages(lock.installed(point, root=root), packaging="24.0")
    runner = lock.interpreter_of(pinned, point, root=root)
    assert probe(point.value, "cpu", Resources(1), tmp_path / "log", interpreter=runner).facts.version == "1"
    assert "shop_plugin.py" in {path.name for path in Path(runner.packages).iterdir()}


def distribution(folder, name, origin):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(origin)


def test_what_came_from_a_url_a_path_or_a_repository(plugin, tmp_path, monkeypatch):
    root, point = plugin
    wheel = root / "dist" / "wheeled-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with ZipFile(wheel, "w") as made:
        made.writestr("wheeled.py", "")
    known = hashlib.sha256(wheel.read_bytes()).hexdigest()
    places = {
        "wheeled": f'{{"url": "{wheel.as_uri()}", "archive_info": {{}}}}',
        "remote": '{"url": "https://me:secret@shop.example/remote-1.0.whl?key=secret",'
        ' "archive_info": {"hash": "sha256=aa"}}',
        "vcs": '{"url": "ssh://git@shop.example/v.git", "subdirectory": "s",'
        ' "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
        "far": f'{{"url": "{(tmp_path.parent / "far").as_uri()}", "dir_info": {{}}}}',
    }
    for name, origin in places.items():
        distribution(tmp_path / "site", name, origin)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(environments, "needed", lambda *_: list(places))
    now = lock.installed(point, root=root)
    held = now.lock.by_name()
    assert held["wheeled"] == f"wheeled @ file:dist/{wheel.name}#sha256={known}"
    assert held["remote"] == "remote @ https://shop.example/remote-1.0.whl#sha256=aa"
    assert held["vcs"] == "vcs @ git+ssh://git@shop.example/v.git@abc#subdirectory=s"
    assert held["far"] == "far==1.0"
    assert now.warnings == (
        "far: installed from a folder that no commit of the project holds: its version alone is locked",
        "remote: its address has a user, a password or a query, which the lock leaves out; keep it in ~/.netrc",
    )
    assert lock._absolute(held["wheeled"], root) == f"wheeled @ {wheel.as_uri()}#sha256={known}"
    line = held["shop-plugin"]
    commit = git(root, "rev-parse", "HEAD")
    assert lock._absolute(line, root) == f"shop-plugin @ git+{root.as_uri()}@{commit}#subdirectory=plugins/shop"
    for untouched in (held["remote"], held["vcs"], held["far"]):
        assert lock._absolute(untouched, root) == untouched


@pytest.mark.parametrize(
    "line", ["numpy", "numpy>=2", "numpy==2.*", "numpy==2.0; python_version > '3'", "numpy[all]==2.0", "--index-url x"]
)
def test_a_line_that_locks_nothing_is_refused(line):
    with pytest.raises(ValueError, match="must"):
        Lock(python="3.11.7", packages=(line,))
