import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import load_scenario
from bakeoff.workloads import cache_dir, prepare, preparing
from bakeoff.workloads.cache import writable
from bakeoff.workloads.prepared import COMPRESSED, Refusal
from bakeoff.workloads.preparing import spec_of
from bakeoff.workloads.source import Spec


def key(scenario) -> str:
    return spec_of(scenario, 1 << 16).key


def test_the_key_holds_all_that_decides_the_result(models, scenario_of, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx")
    keys = [
        key(scenario_of(model)),
        key(scenario_of(model, batch_size=9)),
        key(scenario_of(model, seed=1)),
        spec_of(scenario_of(model), 1 << 17).key,
        key(scenario_of("ctr-dlrm")),
    ]
    models["mlp"](model)
    keys.append(key(scenario_of(model)))
    assert len(set(keys)) == len(keys)
    assert key(scenario_of(model, matters="5%", sla={"p99": "20ms"})) == keys[-1]


def test_a_spec_survives_json(models, scenario_of, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx")
    (tmp_path / "r.npz").write_bytes(b"")
    requests = {"file": str(tmp_path / "r.npz"), "label": "y"}
    spec = spec_of(scenario_of(model, variants={"small": str(model)}, requests=requests), 1)
    assert Spec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("name", "hint"), [("ctr-dlmr", "did you mean ctr-dlrm"), ("nothing-like-it", "the built-in ones are ctr-dlrm")]
)
def test_an_unknown_workload_is_named_with_the_nearest(scenario_of, name, hint) -> None:
    with pytest.raises(UserError, match=hint):
        prepare(scenario_of(name))


def test_the_cache_is_where_it_is_said_to_be(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("BAKEOFF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_dir() == tmp_path / "caches" / "bakeoff"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_dir().parts[-2:] == (".cache", "bakeoff")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir().parts[-3:] == ("Library", "Caches", "bakeoff")


@pytest.mark.parametrize("place", ["a file", "/proc/nope"])
def test_a_cache_that_cannot_be_written_is_one_line(models, scenario_of, tmp_path, monkeypatch, place) -> None:
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / place))
    with pytest.raises(UserError, match="BAKEOFF_CACHE must name a folder that can be made and written") as caught:
        prepare(scenario_of(models["mlp"](tmp_path / "m.onnx")))
    assert str(caught.value).startswith(f"BAKEOFF_CACHE={tmp_path / place}: the cache cannot be written there (")
    assert "\n" not in str(caught.value)


def test_the_usual_place_of_the_cache_is_named_where_it_cannot_be_written(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("BAKEOFF_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"^/.*/bakeoff: the cache cannot be written there \(Permission"), writable():
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_bad_file_is_one_line_from_the_child_too_and_leaves_nothing(scenario_of, tmp_path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"")
    with pytest.raises(UserError, match=r"bad\.onnx: is empty"):
        prepare(scenario_of(bad))
    assert not list((tmp_path / "cache" / "prepared").glob("[!.]*"))
    assert not list((tmp_path / "cache" / "prepared").glob(".*.making"))


FACTORY = '''
import os, sys, time
def {name}():
    """Misbehaves as its name says."""
    {body}
'''


@pytest.mark.engines
@pytest.mark.slow
def test_a_factory_that_crashes_or_raises_is_one_line(scenario_of, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    bodies = {
        "dies": "os.abort()",
        "raises": "raise KeyError('weights')",
        "wrong": "return 7",
        "absent_engine": "from bakeoff.backends import Unavailable; raise Unavailable('no weights', 'fetch them')",
        "unfit": "from bakeoff.backends import Unsupported; raise Unsupported('a loop in it')",
        "hangs": "time.sleep(99)",
    }
    text = "".join(FACTORY.format(name=name, body=body) for name, body in bodies.items())
    (tmp_path / "shop.py").write_text(text)
    for name, says in {
        "dies": "shop:dies: preparing it crashed with signal 6",
        "raises": r"shop:raises: KeyError: 'weights' \(shop.py, line \d+\)",
        "wrong": "shop:wrong: must return a bakeoff.workloads.workload.Workload, not int",
        "absent_engine": r"workload shop:absent_engine: Unavailable: no weights \(fetch them\)",
        "unfit": "workload shop:unfit: Unsupported: a loop in it",
        "absent": "shop:absent: AttributeError",
    }.items():
        with pytest.raises(UserError, match=says):
            prepare(scenario_of(f"shop:{name}"))
    assert_the_child_dies_with_its_parent(scenario_of("shop:hangs").workload, tmp_path)


def assert_the_child_dies_with_its_parent(workload: str, folder: Path) -> None:
    (folder / "s.yaml").write_text(f"workload: {workload}\ntraffic: {{kind: single_stream}}\n")
    code = "import sys; from pathlib import Path; from bakeoff.scenario import load_scenario; "
    code += "from bakeoff.workloads import prepare; prepare(load_scenario(Path(sys.argv[1])))"
    with subprocess.Popen([sys.executable, "-c", code, str(folder / "s.yaml")], cwd=folder) as parent:
        child = wait_for(lambda: children(parent.pid))[0]
        wait_for(lambda: b"bakeoff.workloads.child" in Path(f"/proc/{child}/cmdline").read_bytes())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_for(lambda: not alive(child))
    assert not list((folder / "cache" / "prepared").glob("[!.]*"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition):
    for _ in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in a minute")


def test_the_demo_scenarios_name_built_in_workloads(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    files = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
    assert {spec_of(load_scenario(file), 1).kind for file in files} == {"built-in"}


def test_a_variant_that_blames_the_persons_code_is_refused_and_ends_nothing(scenario_of, monkeypatch) -> None:
    def blame(*_: object) -> None:
        raise UserError("the exported model.onnx is off the module's click by nan")

    monkeypatch.setattr(preparing, "_run_child", blame)
    spec = replace(spec_of(scenario_of("ctr-dlrm"), 1), recipe="prune:0.5")
    refused = preparing._compressed(spec, lambda _: None)
    assert refused == Refusal("failed", "making it failed: the exported model.onnx is off the module's click by nan")
    assert not list((spec.into / COMPRESSED).glob("[!.]*"))
