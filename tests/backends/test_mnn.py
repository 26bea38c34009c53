"""MNN: it computes models like real ones, and says what its converter does not take."""

import json
from pathlib import Path

import pytest
from engine_child import child

from bakeoff.backends import Model, Resources, Setting, Tensor, Unsupported
from bakeoff_backends.mnn_express import Mnn

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.mnn_express:Mnn"


@pytest.mark.engines
@pytest.mark.slow
def test_it_computes_real_models(tmp_path):
    child(str(HERE / "models.py"), str(tmp_path))
    found = json.loads(child(str(HERE / "trying.py"), TARGET, str(tmp_path), "dlrm", "titles", "images"))
    for model in ("dlrm", "titles", "images"):
        assert found[f"{model}/fp32"] <= 1e-4, found
        assert found[f"{model}/int8-weight-only"] <= 0.05, found


@pytest.mark.engines
def test_what_the_converter_does_not_take_is_unsupported_with_its_words(tmp_path):
    from onnx import TensorProto, helper, save

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["items", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Conjure", ["x"], ["y"], domain="shop")], "odd", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("shop", 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "odd.onnx")
    model = Model({"onnx": tmp_path / "odd.onnx"}, (Tensor("x", "float32", (None, 3)),), ("y",))
    with pytest.raises(Unsupported, match="Conjure"):
        Mnn().build(model, "fp32", Setting("1x1"), "cpu", tmp_path)


PROBE = """
import sys
sys.modules["MNN"] = None
from bakeoff.backends import Unavailable, create
try:
    create("bakeoff_backends.mnn_express:Mnn").probe("cpu")
except Unavailable as absent:
    print(absent.remedy)
"""


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it():
    assert child("-c", PROBE) == "pip install 'bakeoff[mnn]'"


def test_the_cores_are_divided():
    assert [setting.name for setting in Mnn().settings(Resources(2))] == ["1x2", "2x1"]
