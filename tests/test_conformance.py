"""The conformance suite: that it lets an honest plugin pass, and that it catches each offence by its name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bakeoff.backends import registered
from bakeoff.conformance import Check, run
from bakeoff.conformance.stages import HABITS, NAMES
from bakeoff.errors import UserError
from bakeoff.show.field import field

pytestmark = pytest.mark.engines

TESTS = Path(__file__).parent
CONTRIBUTING = TESTS.parent / "CONTRIBUTING.md"
EXAMPLE = TESTS / "example_plugin"


@pytest.fixture(autouse=True)
def offenders(monkeypatch):
    """The offenders importable in the suite's children."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS / "backends"))


def failures(target: str, limit_s: float = 60.0) -> dict[str, str]:
    return {check.name: check.detail for check in run(target, limit_s) if not check.ok}


@pytest.fixture(scope="module")
def least():
    """The checks of a plugin of the least that one needs, as they came in the end and one by one."""
    seen: list[Check] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS / "backends"))
        return run("offenders:Least", seen=seen.append), seen


def test_a_plugin_of_name_formats_and_load_passes_all_but_what_it_leaves_out(least):
    checks, seen = least
    assert seen == checks
    assert all(check.ok for check in checks), [check for check in checks if not check.ok]
    own = ("build", "use", *HABITS)
    expected = [name for stage in NAMES if stage not in own for name in NAMES[stage]]
    expected += [f"fp32: {name}" for stage in own for name in NAMES[stage]]
    assert [check.name for check in checks] == expected


def test_an_engine_that_is_not_here_conforms_by_saying_so():
    checks = run("offenders:Absent")
    assert all(check.ok for check in checks)
    found = {check.name: check.detail for check in checks}
    assert found["probe"] == "unavailable: the engine is not here (pip install engine)"


def test_unavailable_without_a_reason_and_a_remedy_does_not_conform():
    assert "needs a reason and a remedy" in failures("offenders:Taciturn")["probe"]


def test_what_cannot_be_constructed_fails_the_first_check_and_ends_there():
    checks = run("offenders:Unfinished")
    assert len(checks) == len(NAMES["contract"])
    assert not any(check.ok for check in checks)
    assert "abstract" in checks[0].detail
    assert "No module named" in failures("no_such_module:Backend")["constructs"]


def test_a_plugin_must_take_part_unasked_with_its_first_precision_and_setting():
    found = failures("offenders:Coy")
    assert "1x1, must not be on request" in found["settings fit the cores"]
    assert "must not be on request" in found["precisions"]


def test_every_offence_of_a_slob_is_named():
    found = failures("offenders:Slob")
    expected = {
        "settings fit the cores": "two settings of one name",
        "refuses an unknown precision": "self.require",
        "fp32: writes only into its folder": "litter",
        "fp32: answers float32 that the caller owns": "a later call changed score, vector",
        "fp32: leaves its inputs alone": "infer changed its input ids",
        "fp32: same request, same answer": "two answers",
        "fp32: lanes keep apart": "answered otherwise than alone",
        "fp32: rests when idle": "switch spinning off",
        "fp32: closes twice": "RuntimeError: closed twice",
    }
    assert expected.keys() <= found.keys()
    assert all(text in found[name] for name, text in expected.items()), found


def test_a_nan_in_one_output_is_a_wrong_answer():
    (name,) = failures("offenders:Liar").keys() & {"fp32: right at every batch size"}
    assert "nan at 2, nan at 7" in failures("offenders:Liar")[name]


def test_an_aborting_engine_is_a_failed_check_and_no_crash():
    found = failures("offenders:Aborts")
    assert found.pop("fp32: loads").startswith("the process died of SIGABRT")
    assert set(found) == {f"fp32: {name}" for name in NAMES["use"][1:]}
    assert set(found.values()) == {"not reached"}


def test_a_hanging_engine_is_ended_at_the_limit():
    assert failures("offenders:Hangs", limit_s=5)["fp32: loads"] == "gave no answer within 5 s"


def test_an_engine_that_holds_the_gil_has_no_threads_as_instances():
    found = failures("offenders:Clutches")
    assert set(found) == {"fp32: the GIL is as its instances say"}
    assert "say that they are processes" in found.popitem()[1]


def test_the_table_of_engines_says_what_was_seen(least):
    table = field({"Least": least[0], **{name: run(f"offenders:{name}") for name in ("Absent", "Aborts")}})
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    honest, absent, aborts = (dict(zip(header, row, strict=True)) for row in rows)
    assert honest == {
        "backend": "`Least`",
        "installs here": "unknown",
        "formats": "onnx",
        "precisions": "fp32",
        "devices": "cpu, cuda",
        "threads used of 2": honest["threads used of 2"],
        "zero-copy inputs": "yes",
        "releases the GIL": "yes",
    }
    assert honest["threads used of 2"] in {"1", "2"}
    assert absent["installs here"] == "no: the engine is not here"
    assert {aborts[column] for column in header[3:] if column != "devices"} == {"·"}


def test_on_a_gpu_every_stage_hears_of_it():
    checks = run("offenders:OnGpus", device="cuda")
    assert [check for check in checks if not check.ok] == []
    assert next(check.detail for check in checks if "other settings" in check.name) == "1x1-gpu"
    on_cpu = run("offenders:OnGpus")
    assert (on_cpu[-1].name, on_cpu[-1].cell) == ("devices", "cuda"), "on the CPU it is not here"
    with pytest.raises(UserError, match="--device gpu: must be cpu or cuda"):
        run("offenders:OnGpus", device="gpu")


def test_a_name_that_is_not_installed_gets_a_hint():
    with pytest.raises(UserError, match="did you mean onnxruntime"):
        run("onnxruntim")


def test_the_worked_example_is_the_one_in_the_guide_and_is_short():
    source = (EXAMPLE / "bakeoff_onnx_reference.py").read_text(encoding="utf-8")
    assert source in CONTRIBUTING.read_text(encoding="utf-8")
    assert len(source.splitlines()) < 40


def test_the_worked_example_passes_as_a_strangers_package(tmp_path, monkeypatch):
    if "onnx-reference" not in registered():
        source = shutil.copytree(EXAMPLE, tmp_path / "source")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site")]
        subprocess.run([*command, str(source)], check=True)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    checks = run("onnx-reference")
    assert all(check.ok for check in checks), [check for check in checks if not check.ok]
    assert checks[1].detail == "by an entry point"
