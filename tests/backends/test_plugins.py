"""The four built-in backends: each passes the suite that a stranger's would, and computes models like real ones."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff.backends import Resources, create, has_bf16, has_vnni, registered
from bakeoff.contest.probing import ask_backend
from bakeoff.measure.engine_room import Probed
from bakeoff.scenario.recipe import PRECISIONS
from bakeoff.show.recipes import _optimisation
from bakeoff_backends import torch_quantising
from bakeoff_backends.onnx_runtime import OnnxRuntime
from bakeoff_backends.onnx_session import LEVELS

HERE = Path(__file__).parent
NAMES = ("onnxruntime", "openvino", "torch", "torch-compile")
LOSSY = {
    "bf16": 0.02,
    "fp16": 0.002,
    "int8-dynamic": 0.05 if has_vnni() else 0.1,  # torch without VNNI: 0.07 was seen
    "int8-static": 0.3,
    "int8-mixed": 0.05,
    "int8-weight-only": 0.05,
    "int4-weight-only": 0.3,
}
BY_DEFAULT = {
    "onnxruntime": {"fp32", "int8-dynamic"},
    "openvino": {"fp32", "bf16", "int8-static"},
    "torch": {"fp32", "bf16", "int8-dynamic"},
    "torch-compile": {"fp32", "bf16"},
}


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """The models of models.py, written once."""
    folder = tmp_path_factory.mktemp("models")
    child(str(HERE / "models.py"), str(folder))
    return folder


@pytest.mark.engines
@pytest.mark.parametrize(
    ("name", "model"),
    [(name, model) for name in NAMES[:3] for model in ("dlrm", "titles", "images")]
    + [pytest.param("torch-compile", "images", marks=pytest.mark.quality)],
)
@pytest.mark.slow
def test_every_precision_computes_real_models(models, name, model):
    found = json.loads(child(str(HERE / "trying.py"), name, str(models), model))
    precisions = {key.partition("/")[2] for key in found}
    assert "fp32" in precisions
    assert ("bf16" in precisions) == (has_bf16() and name != "onnxruntime")
    has_int8 = name != "torch-compile" or bool(torch_quantising.precisions())
    assert any(precision.startswith("int8") for precision in precisions) == has_int8
    for key, error in found.items():
        limit = LOSSY.get(key.partition("/")[2], 1e-5)
        assert error <= limit, f"{key}: {error}"


MISSING = """
import sys
sys.modules["{module}"] = None
from bakeoff.backends import Unavailable, create
try:
    create("{target}").probe("cpu")
except Unavailable as absent:
    print(absent.remedy)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it(name):
    module = name.partition("-")[0]
    program = MISSING.format(module=module, target=registered()[name].value)
    assert child("-c", program) == f"pip install 'bakeoff[{module}]'"


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_device_is_unavailable(name):
    program = MISSING.format(module="nothing", target=registered()[name].value).replace('"cpu"', '"abacus"')
    assert child("-c", program)


@pytest.mark.slow
def test_without_a_compiler_torch_compile_says_what_to_install(tmp_path):
    program = MISSING.format(module="nothing", target=registered()["torch-compile"].value)
    assert child("-c", program, PATH=str(tmp_path), CXX="") == "apt install g++, or set CXX to one"


@pytest.mark.parametrize("name", NAMES)
def test_by_default_one_core_has_one_setting_and_two_cores_are_divided(name):
    backend = create(registered()[name].value)
    one, two = (
        [setting.name for setting in backend.settings(Resources(cpus)) if not setting.on_request] for cpus in (1, 2)
    )
    assert one == ["1x1"]
    assert two == ["1x2", "2x1"] + (["1x2-spin"] if name == "onnxruntime" else [])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("onnxruntime", ["1x1-nofuse", "1x1-basic", "1x1-extended"]),
        ("openvino", []),
        ("torch", []),
        ("torch-compile", ["1x1-nofuse"]),
    ],
)
def test_operator_fusion_is_switched_off_on_request_where_the_engine_can(name, found):
    backend = create(registered()[name].value)
    assert [setting.name for setting in backend.settings(Resources(1)) if setting.on_request] == found


@pytest.mark.parametrize("name", NAMES)
def test_further_precisions_are_on_request_and_all_that_are_offered_are_known_to_recipes(name):
    backend = create(registered()[name].value)
    offered = set(backend.precisions("cpu"))
    assert offered - backend.on_request == BY_DEFAULT[name] - (set() if has_bf16() else {"bf16"})
    assert offered <= set(PRECISIONS)


def test_every_level_that_can_be_asked_for_can_be_deployed():
    settings = OnnxRuntime().settings(Resources(1))
    levels = {each.name: LEVELS[str(each.options["optimisation"])] for each in settings if each.on_request}
    assert all(level in _optimisation(name) for name, level in levels.items())


def test_what_is_on_request_is_told_from_the_backends_own_process():
    target = registered()["onnxruntime"].value
    found = ask_backend(target, "cpu", Resources(1))
    assert isinstance(found, Probed)
    assert found.on_request == create(target).on_request
    on_request = [setting.name for setting in found.settings if setting.on_request]
    assert on_request == ["1x1-nofuse", "1x1-basic", "1x1-extended"]


@pytest.mark.quality
def test_torch_compile_without_fusion_is_an_artifact_of_its_own_with_the_same_answers(tmp_path):
    found = json.loads(child(str(HERE / "unfused.py"), str(tmp_path)))
    assert found["kernels"]["1x1-nofuse"] > found["kernels"]["1x1"]
    assert found["difference"] < 1e-5


def test_torch_compile_builds_anew_without_fusion():
    backend = create(registered()["torch-compile"].value)
    keys = [backend.build_depends_on(setting) for setting in backend.settings(Resources(1))]
    assert keys == [{"threads": 1}, {"threads": 1, "fusion": False}]


def test_every_backend_file_with_a_backend_is_registered():
    folder = HERE.parents[1] / "backends" / "bakeoff_backends"
    files = {path.stem for path in folder.glob("*.py") if "(Backend)" in path.read_text(encoding="utf-8")}
    values = [point.value for point in registered().values()]
    registered_files = {value.partition(":")[0].rpartition(".")[2] for value in values if "bakeoff_backends" in value}
    assert files == registered_files, "an entry point was added: install the project again"
