"""ExecuTorch: it computes models like real ones, and keeps its methods apart from a pool that is reset."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff_backends.execu_torch import ExecuTorch

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.execu_torch:ExecuTorch"
LARGEST = {"fp32": 1e-5, "int8-dynamic": 0.05}


@pytest.mark.engines
@pytest.mark.slow
def test_every_precision_computes_real_models(tmp_path):
    child(str(HERE / "models.py"), str(tmp_path))
    found = json.loads(child(str(HERE / "trying.py"), TARGET, str(tmp_path), "dlrm", "titles", "images", SIZES="1,2"))
    assert {key.partition("/")[2] for key in found} == set(LARGEST)
    assert len(found) == 3 * len(LARGEST)
    for key, error in found.items():
        assert error <= LARGEST[key.partition("/")[2]], f"{key}: {error}"


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("singular-values", "fp32", "ExecuTorch stumbles over aten._linalg_svd"),
        ("softmax-over-items", "fp32", "depends on the request's other items"),
        ("doubled", "bf16", "executorch has no bf16 on this cpu, it has fp32, int8-dynamic"),
    ],
)
@pytest.mark.engines
@pytest.mark.slow
def test_what_it_cannot_build_is_unsupported_with_the_operator(tmp_path, name, precision, reason):
    assert reason in child(str(HERE / "building.py"), TARGET, name, precision, str(tmp_path))


@pytest.mark.engines
@pytest.mark.slow
def test_products_of_ids_beyond_32_bits_are_right(tmp_path):
    assert float(child(str(HERE / "building.py"), TARGET, "hashed", "fp32", str(tmp_path))) == 0


PROBE = """
import sys
{first}
from bakeoff.backends import Unavailable, create
try:
    create("bakeoff_backends.execu_torch:ExecuTorch").probe("{device}")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    found = child("-c", PROBE.format(first="sys.modules['executorch'] = None", device="cpu"))
    assert found == "pip install 'bakeoff[executorch]'"


def test_another_device_than_the_cpu_is_unavailable():
    assert child("-c", PROBE.format(first="", device="cuda")) == "set resources.device: cpu or leave it out"


def test_int8_is_on_request_and_instances_are_processes():
    assert ExecuTorch().on_request == {"int8-dynamic"}
    assert ExecuTorch().instances == "processes"
