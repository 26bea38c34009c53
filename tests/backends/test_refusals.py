"""What a backend cannot build is Unsupported with what it stumbled over, never a build that pretends."""

import onnx
import pytest
from onnx import TensorProto, helper

from bakeoff.backends import Model, Setting, Tensor, Unsupported
from bakeoff_backends.onnx_runtime import OnnxRuntime
from bakeoff_backends.open_vino import OpenVino

SETTING = Setting("1x1")


@pytest.fixture
def doubling(tmp_path) -> Model:
    """y = x + x: a model without a weight to quantise."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["items", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    path = tmp_path / "doubling.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Model({"onnx": path}, (Tensor("x", "float32", (None, 3)),), ("y",))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_without_matrix_products_has_nothing_to_quantise(doubling, tmp_path):
    with pytest.raises(Unsupported, match="nothing to quantise"):
        OnnxRuntime().build(doubling, "int8-dynamic", SETTING, "cpu", tmp_path)


def test_static_int8_without_sample_requests_is_unsupported(doubling, tmp_path):
    if "int8-static" not in OpenVino().precisions("cpu"):
        pytest.skip("nncf is not installed")
    with pytest.raises(Unsupported, match="needs sample requests"):
        OpenVino().build(doubling, "int8-static", SETTING, "cpu", tmp_path)


@pytest.mark.parametrize("backend", [OnnxRuntime(), OpenVino()])
def test_a_precision_it_does_not_have_is_unsupported(backend, doubling, tmp_path):
    with pytest.raises(Unsupported, match="has no fp3 on this cpu, it has fp32"):
        backend.build(doubling, "fp3", SETTING, "cpu", tmp_path)


def test_a_format_it_cannot_read_is_unsupported(doubling, tmp_path):
    model = Model({"exported": doubling.files["onnx"]}, doubling.inputs, doubling.outputs)
    with pytest.raises(
        Unsupported, match=r"needs the model as an ONNX file \(.onnx\), has a torch.export program \(.pt2\)"
    ):
        OnnxRuntime().build(model, "fp32", SETTING, "cpu", tmp_path)
