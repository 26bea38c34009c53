"""The precisions that ONNX Runtime and OpenVINO offer on request, on the suite's ranker: near to fp32, or refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bakeoff.backends import Model, Setting, Tensor, Unsupported, create, has_vnni, registered
from bakeoff.conformance import ranker
from bakeoff_backends.onnx_gemm import constant_products, unfold_gemms
from bakeoff_backends.onnx_runtime import OnnxRuntime
from bakeoff_backends.open_vino import OpenVino

SETTING = Setting("1x1")
LARGEST_ERROR = {
    "onnxruntime/int8-dynamic": 0.02,
    "onnxruntime/int8-static": 0.04,
    "onnxruntime/int8-mixed": 0.02,
    "onnxruntime/int8-weight-only": 0.02,
    "onnxruntime/int4-weight-only": 0.15,
    "openvino/int8-static": 0.1,
    "openvino/fp16": 0.002,
}
if not has_vnni():  # seven bits of each weight: 0.021 and 0.119 were seen
    LARGEST_ERROR |= {"onnxruntime/int8-dynamic": 0.03, "openvino/int8-static": 0.15}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Model:
    folder = tmp_path_factory.mktemp("ranker")
    ranker.write(folder, "onnx")
    return ranker.model(folder, ("onnx",))


def built(backend, model, precision, into, setting=SETTING):
    if precision not in backend.precisions("cpu"):
        pytest.skip(f"{backend.name} has no {precision} here")
    return backend.build(model, precision, setting, "cpu", into)


def answer(backend, artifact, setting=SETTING, request=None):
    session = backend.load(artifact, setting, "cpu")
    found = session.infer(request or ranker.request(50, 3))
    session.close()
    return found


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("name", LARGEST_ERROR)
@pytest.mark.slow
def test_a_smaller_form_stays_near_to_fp32(small, tmp_path, name):
    backend_name, _, precision = name.partition("/")
    backend = create(registered()[backend_name].value)
    found = answer(backend, built(backend, small, precision, tmp_path))["vector"]
    right = ranker.reference(ranker.request(50, 3))["vector"]
    error = np.linalg.norm(found - right) / np.linalg.norm(right)
    assert 0 < error < LARGEST_ERROR[name]


@pytest.mark.parametrize(
    ("backend", "precision"),
    [(OnnxRuntime(), "int8-static"), (OnnxRuntime(), "int8-mixed"), (OpenVino(), "int8-static")],
)
def test_without_sample_requests_what_needs_them_is_unsupported(small, tmp_path, backend, precision):
    bare = Model(small.files, small.inputs, small.outputs)
    with pytest.raises(Unsupported, match=f"^{precision} needs sample requests .* comes without$"):
        built(backend, bare, precision, tmp_path)


def doubling(folder) -> Model:
    """y = x + x: a model without a weight to quantise."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["items", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    path = folder / "doubling.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Model({"onnx": path}, (Tensor("x", "float32", (None, 3)),), ("y",), [{"x": np.ones((2, 3), np.float32)}])


@pytest.mark.parametrize(
    ("backend", "precision"),
    [(OnnxRuntime(), name) for name in sorted(OnnxRuntime.on_request)]
    + [(OpenVino(), name) for name in sorted(OpenVino.on_request)],
)
def test_where_nothing_would_become_smaller_it_is_unsupported(tmp_path, backend, precision):
    with pytest.raises(Unsupported, match=r"^nothing to \w+: "):
        built(backend, doubling(tmp_path), precision, tmp_path)


def gemm(folder, **knobs) -> Model:
    """score = knobs(x @ w + b), twice, the second time with the first one's weights."""
    random = np.random.default_rng(0)
    arrays = {"w": random.standard_normal((32, 32)), "b": random.standard_normal(32)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["hidden"], "first", **knobs),
        helper.make_node("Gemm", ["hidden", "w"], ["score"], "second", **knobs),
    ]
    x, score = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["items", 32]) for name in ("x", "score"))
    constants = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in arrays.items()]
    graph = helper.make_graph(nodes, "gemm", [x], [score], constants)
    path = folder / "gemm.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    sample = {"x": random.standard_normal((5, 32)).astype(np.float32)}
    return Model({"onnx": path}, (Tensor("x", "float32", (None, 32)),), ("score",), [sample])


@pytest.mark.parametrize(
    ("knobs", "left"),
    [({}, []), ({"transB": 1}, []), ({"alpha": 2.0}, ["Gemm", "Gemm"]), ({"beta": 0.5}, ["Gemm"] * 2)],
)
def test_only_a_plain_gemm_unfolds_and_the_answers_stay(tmp_path, knobs, left):
    model = gemm(tmp_path, **knobs)
    backend, unfolded = OnnxRuntime(), onnx.load(model.file("onnx"))
    unfold_gemms(unfolded)
    assert [node.op_type for node in constant_products(unfolded)] == (left or ["MatMul", "MatMul"])
    (tmp_path / "into").mkdir()
    artifact = built(backend, model, "fp32", tmp_path / "into")
    before = answer(backend, artifact, request=model.samples[0])["score"]
    onnx.save(unfolded, artifact.path)
    np.testing.assert_allclose(answer(backend, artifact, request=model.samples[0])["score"], before, rtol=1e-4)


def test_weight_only_leaves_layers_alone_that_are_narrower_than_a_block(small, tmp_path):
    artifact = built(OnnxRuntime(), small, "int4-weight-only", tmp_path)
    found = operators(artifact.path)
    assert found.count("MatMulNBits") == 3
    narrow = numpy_helper.from_array(np.ones((4, 64), np.float32), "weight0")
    model = onnx.load(small.file("onnx"))
    next(each for each in model.graph.initializer if each.name == "weight0").CopyFrom(narrow)
    path = tmp_path / "narrow.onnx"
    onnx.save(model, path)
    artifact = built(OnnxRuntime(), Model({"onnx": path}, small.inputs, small.outputs), "int4-weight-only", tmp_path)
    assert operators(artifact.path).count("MatMulNBits") == 2


def test_static_int8_quantises_what_goes_into_a_product_and_not_what_comes_out(small, tmp_path):
    artifact = built(OnnxRuntime(), small, "int8-static", tmp_path)
    graph = onnx.load(artifact.path).graph
    quantised = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    results = {node.output[0] for node in graph.node if node.op_type in ("MatMul", "Gemm")}
    assert len(quantised) >= 3
    assert not quantised & results


def test_mixed_int8_keeps_the_product_that_hurts_most_in_fp32_and_names_it(small, tmp_path, capfd):
    """An outlier in each column of the second layer leaves its other weights no int8 step."""
    model = onnx.load(small.file("onnx"))
    weight = next(each for each in model.graph.initializer if each.name == "weight1")
    spoilt = numpy_helper.to_array(weight).copy()
    spoilt[np.arange(len(spoilt)) % 16 == 0] *= 100
    weight.CopyFrom(numpy_helper.from_array(spoilt, "weight1"))
    path = tmp_path / "spoilt.onnx"
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}-{number}"
    onnx.save(model, path)
    worst = next(node.name for node in model.graph.node if "weight1" in node.input)
    artifact = built(
        OnnxRuntime(), Model({"onnx": path}, small.inputs, small.outputs, small.samples), "int8-mixed", tmp_path
    )
    assert f"1 of 3 products stay in fp32 (their error alone): {worst} (" in capfd.readouterr().out
    products = constant_products(onnx.load(artifact.path))
    assert [node.name for node in products] == [worst]


@pytest.mark.parametrize("precision", ["fp32", "int8-dynamic", "int8-static", "int8-weight-only"])
def test_without_fusion_onnxruntime_gives_the_same_answers(small, tmp_path, precision):
    backend = OnnxRuntime()
    artifact = built(backend, small, precision, tmp_path)
    fused = answer(backend, artifact)
    for level in ("none", "basic", "extended"):
        plain = answer(backend, artifact, Setting("1x1-other", options={"optimisation": level}))
        for name, values in plain.items():
            np.testing.assert_allclose(values, fused[name], rtol=1e-3, atol=2e-2 if precision != "fp32" else 1e-5)


def test_fp16_takes_half_the_bytes(small, tmp_path):
    built(OpenVino(), small, "fp16", tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.bin"))
    assert size < 0.51 * sum(values.nbytes for values in ranker.weights().values())
