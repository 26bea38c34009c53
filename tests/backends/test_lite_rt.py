"""LiteRT: it computes models like real ones, and refuses with the operator what its converter cannot take."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff.backends import Resources
from bakeoff_backends.lite_rt import LiteRt

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.lite_rt:LiteRt"
LARGEST = {"fp32": 1e-5, "int8-dynamic": 0.05, "fp16": 0.002}


@pytest.mark.engines
@pytest.mark.slow
def test_every_precision_computes_real_models(tmp_path):
    child(str(HERE / "models.py"), str(tmp_path))
    found = json.loads(child(str(HERE / "trying.py"), TARGET, str(tmp_path), "dlrm", "titles", "images"))
    assert {key.partition("/")[2] for key in found} == set(LARGEST)
    assert len(found) == 3 * len(LARGEST)
    for key, error in found.items():
        assert error <= LARGEST[key.partition("/")[2]], f"{key}: {error}"


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("singular-values", "fp32", "LiteRT stumbles over aten._linalg_svd"),
        ("softmax-over-items", "fp32", "depends on the request's other items"),
        ("doubled", "int8-dynamic", "nothing to quantise"),
        ("doubled", "fp16", "nothing to quantise"),
        ("doubled", "bf16", "litert has no bf16 on this cpu, it has fp32, int8-dynamic, fp16"),
    ],
)
@pytest.mark.engines
@pytest.mark.slow
def test_what_it_cannot_build_is_unsupported_with_the_operator(tmp_path, name, precision, reason):
    assert reason in child(str(HERE / "building.py"), TARGET, name, precision, str(tmp_path))


MAPPED = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from bakeoff.backends import Setting
from bakeoff.conformance import ranker
from bakeoff_backends.lite_rt import LiteRt
folder = Path(sys.argv[1])
ranker.write(folder, "exported")
artifact = LiteRt().build(ranker.model(folder, ("exported",)), "int8-dynamic", Setting("2x1"), "cpu", folder)
session = LiteRt().load(artifact, Setting("2x1", instances=2), "cpu")
lane = session.lane(1)
mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(".tflite")]
print(sorted(set(mapped)) == sorted(map(str, artifact.path.iterdir())), len(mapped) // len(set(mapped)))
"""


@pytest.mark.engines
@pytest.mark.slow
def test_files_are_mapped_and_not_held_in_memory_by_every_lane(tmp_path):
    assert child("-c", MAPPED, str(tmp_path)) == "True 2"


@pytest.mark.engines
@pytest.mark.slow
def test_products_of_ids_beyond_32_bits_are_right_or_refused(tmp_path):
    """Some converters narrow them in silence, whatever they were told; what they wrote is then not served."""
    told = child(str(HERE / "building.py"), TARGET, "hashed", "fp32", str(tmp_path))
    assert told == "0.0" or "computes output y wrongly" in told


PROBE = """
import sys
{first}
from bakeoff.backends import Unavailable, create
try:
    create("bakeoff_backends.lite_rt:LiteRt").probe("{device}")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    found = child("-c", PROBE.format(first="sys.modules['ai_edge_litert'] = None", device="cpu"))
    assert found == "pip install 'bakeoff[litert]'"


@pytest.mark.engines
def test_a_missing_converter_is_unavailable_too():
    first = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n: None if n == 'litert_torch' else f(n)"
    assert child("-c", PROBE.format(first=first, device="cpu")) == "pip install 'bakeoff[litert]'"


def test_another_device_than_the_cpu_is_unavailable():
    assert child("-c", PROBE.format(first="", device="cuda")) == "set resources.device: cpu or leave it out"


def test_cores_are_divided_and_fp16_is_on_request():
    assert [setting.name for setting in LiteRt().settings(Resources(2))] == ["1x2", "2x1"]
    assert LiteRt().on_request == {"fp16"}
    assert LiteRt().instances == "threads"
