"""Engines to measure: an honest onnxruntime plugin and its misbehaving kin, as child processes find them."""

import os
import runpy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bakeoff.backends import Artifact, Setting
from bakeoff.measure.engine_room import Engine, Order, build

NAUGHTY = Path(__file__).parents[1] / "naughty"
MODULE = "naughty_backends"


@dataclass(frozen=True)
class Bench:
    """A place to measure at: what an order needs besides the backend."""

    prepared: Path
    artifact: Artifact
    folder: Path

    def order(self, name: str, instances: str = "threads", setting: Setting | None = None, **more) -> Order:
        order = Order(
            target=f"{MODULE}:{name}",
            artifact=self.artifact,
            setting=setting or Setting("1x1"),
            device="cpu",
            instances=instances,
            cpus=tuple(sorted(os.sched_getaffinity(0))),
            memory_bytes=None,
            prepared=self.prepared,
            log=self.folder / f"{name}.log",
        )
        return replace(order, **more)

    def start(self, name: str, limit_s: float = 60.0, **more) -> Engine:
        return Engine.start(self.order(name, **more), limit_s)


@pytest.fixture(scope="session")
def naughty_folder(tmp_path_factory) -> Path:
    return runpy.run_path(str(NAUGHTY / "install.py"))["install"](tmp_path_factory.mktemp("plugins"))


@pytest.fixture(autouse=True)
def _on_path(naughty_folder, monkeypatch):
    """Child processes and this one find the misbehaving backends."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(naughty_folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(naughty_folder))


@pytest.fixture(scope="session")
def artifact(tiny_prepared, naughty_folder, tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(naughty_folder), os.environ.get("PYTHONPATH", "")]))
        built = build(
            f"{MODULE}:Honest", tiny_prepared.folder, "base", "fp32", Setting("1x1"), "cpu", folder / "artifact",
            folder / "build.log", 60, tuple(os.sched_getaffinity(0)),
        )  # fmt: skip
    assert built.seconds > 0
    return built.artifact


@pytest.fixture
def bench(tiny_prepared, artifact, tmp_path) -> Bench:
    return Bench(tiny_prepared.folder, artifact, tmp_path)


@pytest.fixture
def cue(tmp_path, monkeypatch) -> Path:
    """A file whose making tells some backends to begin misbehaving."""
    path = tmp_path / "cue"
    monkeypatch.setenv("NAUGHTY_CUE", str(path))
    return path
