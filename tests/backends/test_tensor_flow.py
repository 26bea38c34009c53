"""TensorFlow: it computes models like real ones, as a graph and compiled by XLA."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff.backends import Resources
from bakeoff_backends.tensor_flow import TensorFlow

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.tensor_flow:TensorFlow"


@pytest.mark.parametrize("number", ["0", "1"])
@pytest.mark.engines
@pytest.mark.slow
def test_it_computes_real_models(tmp_path, number):
    child(str(HERE / "models.py"), str(tmp_path))
    found = json.loads(
        child(str(HERE / "trying.py"), TARGET, str(tmp_path), "dlrm", "titles", "images", SETTING=number)
    )
    assert set(found) == {"dlrm/fp32", "titles/fp32", "images/fp32"}
    assert all(error <= 1e-5 for error in found.values()), found


@pytest.mark.engines
@pytest.mark.slow
def test_lists_whose_items_look_at_each_other_are_scored_as_they_are(tmp_path):
    assert float(child(str(HERE / "building.py"), TARGET, "softmax-over-items", "fp32", str(tmp_path))) < 1e-6


PROBE = """
import sys
{first}
from bakeoff.backends import Unavailable, create
try:
    create("bakeoff_backends.tensor_flow:TensorFlow").probe("{device}")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    found = child("-c", PROBE.format(first="sys.modules['tensorflow'] = None", device="cpu"))
    assert found == "pip install 'bakeoff[tensorflow]'"


def test_another_device_than_the_cpu_is_unavailable():
    assert child("-c", PROBE.format(first="", device="cuda")) == "set resources.device: cpu or leave it out"


def test_xla_comes_first_then_a_graph_and_that_with_onednn():
    settings = TensorFlow().settings(Resources(1))
    assert [(setting.name, setting.on_request) for setting in settings] == [
        ("1x1-xla", False),
        ("1x1", False),
        ("1x1-onednn", False),
    ]
