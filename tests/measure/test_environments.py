"""Environments of candidates' own: really made by uv, and none of this environment's packages in them."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from bakeoff.backends import Resources, Unavailable, registered
from bakeoff.measure import environments
from bakeoff.measure.engine_room import StageFailed, probe
from bakeoff.workloads import venvs

ANOTHER = "onnxruntime==1.30.0"


@pytest.fixture
def point() -> EntryPoint:
    return registered()["onnxruntime"]


@pytest.mark.slow
def test_another_version_of_an_engine_is_probed_in_an_environment_of_its_own(point, tmp_path) -> None:
    runner = environments.interpreter(point, None, [ANOTHER])
    found = probe(point.value, "cpu", Resources(1), tmp_path / "log", interpreter=runner)
    assert found.facts.version == "1.30.0"
    assert probe(point.value, "cpu", Resources(1), tmp_path / "log").facts.version != "1.30.0"
    program = (
        "import importlib.util as u, bakeoff, bakeoff_backends; print(u.find_spec('torch'), u.find_spec('pandas'))"
    )
    done = subprocess.run(
        [runner.python, "-c", program], env=runner.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None None\n", "what is installed here must not reach it"
    assert environments.interpreter(point, None, [ANOTHER]) == runner, "made once"


def test_an_interpreter_of_ones_own_finds_our_packages_and_no_others(point, tmp_path) -> None:
    runner = environments.interpreter(point, sys.executable, [])
    assert runner.python == sys.executable
    names = {path.name for path in environments.own_packages(point).iterdir()}
    assert names == {"bakeoff", "bakeoff_backends"}
    assert probe(point.value, "cpu", Resources(1), tmp_path / "log", interpreter=runner).facts.version


def test_requirements_that_do_not_go_together_are_a_row_with_what_uv_said(point, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    with pytest.raises(StageFailed) as failed:
        environments.interpreter(point, None, ["onnxruntime==0.0.1"])
    assert (failed.value.stage, failed.value.outcome) == ("probe", "unavailable")
    assert "onnxruntime==0.0.1" in failed.value.reason
    assert "\n" not in failed.value.reason
    assert [path.name for path in (tmp_path / "environments").iterdir() if path.is_dir()] == [], "nothing half made"


def test_an_environment_that_takes_too_long_is_a_row_and_leaves_nothing_half_made(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match=r"its environment was not made within 0\.01 s"):
        venvs.made("onnxruntime", ["onnxruntime"], limit_s=0.01)
    assert [path for path in (tmp_path / "environments").iterdir() if path.is_dir()] == []


def test_without_uv_it_says_what_to_install(point, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(venvs, "find_spec", lambda name: None)
    with pytest.raises(StageFailed) as failed:
        environments.environment(point, [ANOTHER])
    assert failed.value.remedy == "pip install 'bakeoff[environments]'"


def test_the_backends_that_a_project_belongs_to() -> None:
    assert environments.backends_of("onnxruntime==1.30.0") == ["onnxruntime"]
    assert environments.backends_of("Torch>=2.9") == ["torch", "torch-compile"], "others need it to build alone"
    assert environments.backends_of("apache-tvm") == ["tvm"]
    assert environments.backends_of("onnxruntime-gpu==1.30.0") == ["onnxruntime"]
    assert environments.backends_of("tensorflow<3") == ["tensorflow"], "the build for GPUs, whose CPU build it needs"
    assert environments.backends_of("numpy<3") == []
    with pytest.raises(ValueError, match="Expected"):
        environments.backends_of("onnxruntime=1.30")


def test_the_build_for_gpus_comes_in_place_of_the_one_for_cpus(point) -> None:
    ours = environments.needed(point)
    assert [each for each in ours if each.startswith("onnxruntime")]
    assert environments.wanted(point, [ANOTHER]) == [ANOTHER, *ours]
    gpu = environments.wanted(point, ["onnxruntime-gpu==1.30.0"])
    assert gpu == ["onnxruntime-gpu==1.30.0", *(each for each in ours if not each.startswith("onnxruntime"))]
