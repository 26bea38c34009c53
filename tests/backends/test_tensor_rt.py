"""TensorRT without a GPU: what it says is missing, what it would be told to build, and its session on fakes."""

import ctypes
import sys
from types import ModuleType

import fake_tensorrt
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from bakeoff.backends import Artifact, Model, Resources, Setting, Tensor, Unavailable, Unsupported
from bakeoff.conformance import ranker
from bakeoff_backends import onnx_casting
from bakeoff_backends.tensor_rt import INDEX, TensorRt

REMEDY = f"pip install 'bakeoff[tensorrt]' {INDEX}"
ROWS = (Tensor("x", "float32", (None, 4)),)


@pytest.fixture
def driver(monkeypatch):
    driver = fake_tensorrt.Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    return driver


@pytest.fixture
def install(monkeypatch, driver):
    def install(version="10.13.3", errors=()):
        module = fake_tensorrt.make(version, errors)
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        return module

    return install


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    ranker.write(folder, "onnx")
    return ranker.model(folder, ("onnx",))


def told(module, name):
    return [call[1:] for call in module.told if call[0] == name]


def build(model, precision, into, setting=None):
    into.mkdir()
    return TensorRt().build(model, precision, setting or Setting("1x1"), "cuda", into)


# what is missing


def test_on_the_cpu_it_names_its_device():
    with pytest.raises(Unavailable) as told:
        TensorRt().probe("cpu")
    assert (told.value.reason, told.value.remedy) == (
        "TensorRT runs on cuda alone",
        "set resources.device: cuda",
    )


def test_without_the_driver_it_says_that_there_is_no_device(monkeypatch):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(
        Unavailable, match=r"no CUDA device: NVIDIA's driver is not here \(libcuda\.so\.1: cannot"
    ) as told:
        TensorRt().probe("cuda")
    assert told.value.remedy == "run it on a machine where nvidia-smi lists a GPU"


def test_a_driver_without_a_device_is_no_device(driver):
    driver.devices = 0
    with pytest.raises(Unavailable, match="no CUDA device: NVIDIA's driver is here and finds none"):
        TensorRt().probe("cuda")


def test_a_missing_package_is_told_from_bindings_without_libraries(monkeypatch, driver, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable) as absent:
        TensorRt().probe("cuda")
    assert (absent.value.reason, absent.value.remedy) == ("the package tensorrt is not installed", REMEDY)
    monkeypatch.delitem(sys.modules, "tensorrt")
    for text in ("import tensorrt_libs", "raise ImportError('libnvinfer.so.10: cannot open shared object file')"):
        (tmp_path / "tensorrt.py").write_text(text)
        with pytest.raises(
            Unavailable, match=r"bindings are here without their libraries: .*(tensorrt_libs|libnvinfer)"
        ):
            TensorRt().probe("cuda")


def test_a_bare_package_and_an_old_version_are_named(monkeypatch, driver, install):
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    with pytest.raises(Unavailable, match="tensorrt is installed without its bindings"):
        TensorRt().probe("cuda")
    install("8.6.1")
    with pytest.raises(Unavailable, match=r"TensorRT 8\.6\.1 is older than 10"):
        TensorRt().probe("cuda")


# the probe and the key


def test_the_probe_adds_one_and_one_and_tells_the_gpu(install):
    module = install()
    facts = TensorRt().probe("cuda")
    assert facts.version == "10.13.3"
    assert facts.details == {"gpu": "NVIDIA Fake", "architecture": "sm_90x132"}
    assert told(module, "execute_async_v3") == [()]


def test_an_artifact_is_bound_to_the_gpu_and_to_how_long_it_was_sought(driver):
    backend = TensorRt()
    usual, two, longest = backend.settings(Resources(2))
    assert [setting.name for setting in (usual, two, longest)] == ["1x1", "2x1", "1x1-level5"]
    assert longest.on_request
    assert backend.build_depends_on(usual) == backend.build_depends_on(two) == {"gpu": "sm_90x132"}
    assert backend.build_depends_on(longest) == {"level": 5, "gpu": "sm_90x132"}
    driver.attributes[16] = 114
    assert backend.build_depends_on(usual) == {"gpu": "sm_90x114"}


# the plan


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", []), ("fp16", [("FP16",)]), ("bf16", [("BF16",)]), ("int8-static", [("INT8",)])]
)
def test_version_10_takes_the_precision_from_builder_flags(install, model, tmp_path, precision, flags):
    module = install("10.13.3")
    build(model, precision, tmp_path / "built")
    assert told(module, "create_network") == [(0,)]
    assert told(module, "config.clear_flag") == [("TF32",)]
    assert told(module, "config.set_flag") == flags
    parsed = told(module, "parse_from_file")[0][0]
    assert (parsed == str(model.files["onnx"])) == (precision != "int8-static")


@pytest.mark.parametrize(
    ("precision", "element"), [("fp16", onnx.TensorProto.FLOAT16), ("bf16", onnx.TensorProto.BFLOAT16)]
)
def test_version_11_takes_the_precision_from_the_file(install, model, tmp_path, monkeypatch, precision, element):
    module = install("11.2.0")
    seen = []
    parse = module.OnnxParser

    def spying(network, logger):
        parser = parse(network, logger)
        first = parser.parse_from_file
        parser.parse_from_file = lambda path: (seen.append(onnx.load(path)), first(path))[1]
        return parser

    module.OnnxParser = spying
    build(model, precision, tmp_path / "built")
    assert told(module, "config.set_flag") == []
    weights = {w.name: w.data_type for w in seen[0].graph.initializer}
    assert weights[f"weight0_{precision}"] == weights[f"bias0_{precision}"] == element
    assert weights["table"] == onnx.TensorProto.FLOAT
    assert sorted(path.name for path in (tmp_path / "built").iterdir()) == ["model.engine", "timing.cache"]


def test_int8_has_symmetric_quantise_nodes_for_both_versions(install, model, tmp_path):
    from bakeoff_backends import onnx_quantising

    onnx_quantising.static(model, tmp_path / "int8.onnx", symmetric=True)
    written = onnx.load(tmp_path / "int8.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in written.graph.node}
    zeros = [w for w in written.graph.initializer if "zero_point" in w.name]
    assert zeros
    assert all(w.data_type == onnx.TensorProto.INT8 and not onnx.numpy_helper.to_array(w).any() for w in zeros)


def test_int8_weights_have_all_their_bits_whatever_this_cpu_multiplies(model, tmp_path, monkeypatch):
    from bakeoff_backends import onnx_quantising

    monkeypatch.setattr(onnx_quantising, "cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(onnx_quantising, "has_vnni", lambda: False)
    largest = {}
    for symmetric in (True, False):
        onnx_quantising.static(model, tmp_path / "int8.onnx", symmetric=symmetric)
        written = onnx.load(tmp_path / "int8.onnx").graph.initializer
        weights = [onnx.numpy_helper.to_array(w) for w in written if w.name == "weight0_quantized"]
        largest[symmetric] = max(int(np.abs(w.astype(int)).max()) for w in weights)
    assert largest == {True: 127, False: 64}


def test_the_profile_reaches_from_one_item_through_the_usual_to_what_a_batcher_makes(install, model, tmp_path):
    module = install()
    build(model, "fp32", tmp_path / "built")
    assert told(module, "profile.set_shape") == [
        ("features", (1, 4), (30, 4), (4096, 4)),
        ("ids", (1, 2), (30, 2), (4096, 2)),
    ]
    assert len(told(module, "config.add_optimization_profile")) == 1


def test_more_items_than_usual_and_other_free_axes_are_in_the_profile(install, model, tmp_path):
    module = install()
    words = Tensor("tokens", "int64", (None, None))
    samples = [{"tokens": np.zeros((2, length), np.int64)} for length in (5, 9, 12)]
    build(Model(model.files, (words,), ("y",), samples, (3, 9000)), "fp32", tmp_path / "built")
    assert told(module, "profile.set_shape") == [("tokens", (1, 5), (9000, 9), (9000, 12))]
    with pytest.raises(Unsupported, match="axis 1 of the input tokens is free and no sample says how long"):
        build(Model(model.files, (words,), ("y",), (), (3,)), "fp32", tmp_path / "again")


def test_an_operator_that_the_parser_does_not_know_is_named(install, model, tmp_path):
    install(errors=[("NonZero", "filter_1", "no importer\n registered"), ("Unique", "u", "none")])
    message = r"operator NonZero \(node filter_1\): no importer registered \(and 1 more\)$"
    with pytest.raises(Unsupported, match=message):
        build(model, "fp32", tmp_path / "built")


def test_timings_are_kept_beside_the_engine_or_in_a_shared_file(install, model, tmp_path, monkeypatch):
    module = install()
    build(model, "fp32", tmp_path / "one")
    assert (tmp_path / "one" / "timing.cache").read_bytes() == b"timings"
    shared = tmp_path / "shared.cache"
    shared.write_bytes(b"from before")
    monkeypatch.setenv("BAKEOFF_TENSORRT_TIMING_CACHE", str(shared))
    build(model, "fp32", tmp_path / "two")
    assert told(module, "config.create_timing_cache") == [(b"",), (b"from before",)]
    assert shared.read_bytes() == b"timings"
    assert not (tmp_path / "two" / "timing.cache").exists()


def test_another_versions_timings_are_left_out_and_written_over(install, model, tmp_path, monkeypatch):
    module = install()
    shared = tmp_path / "shared.cache"
    shared.write_bytes(b"from elsewhere")
    monkeypatch.setenv("BAKEOFF_TENSORRT_TIMING_CACHE", str(shared))
    build(model, "fp32", tmp_path / "built")
    assert told(module, "config.create_timing_cache") == [(b"from elsewhere",), (b"",)]
    assert [path.name for path in tmp_path.glob("*shared*")] == ["shared.cache"]
    assert shared.read_bytes() == b"timings"


def test_a_longer_search_is_told_to_the_builder(install, model, tmp_path):
    module = install()
    build(model, "fp32", tmp_path / "usual")
    assert told(module, "config.builder_optimization_level =") == []
    build(model, "fp32", tmp_path / "longest", Setting("1x1-level5", options={"level": 5}))
    assert told(module, "config.builder_optimization_level =") == [(5,)]


def test_an_unknown_precision_is_refused(install, model, tmp_path):
    install()
    with pytest.raises(Unsupported, match="tensorrt has no int4 on this cuda"):
        build(model, "int4", tmp_path / "built")


# the session


def artifact(install, tmp_path):
    module = install()
    path = tmp_path / "model.engine"
    path.write_bytes(b'{"engine": "10.13.3"}')
    return module, Artifact(path, "fp32", ROWS, ("y",))


def test_answers_are_right_owned_and_of_any_size_that_was_built(install, tmp_path, driver):
    _, built = artifact(install, tmp_path)
    session = TensorRt().load(built, Setting("1x1"), "cuda")
    lanes = [session.lane(0), session.lane(1)]
    assert lanes[0] is session
    first = session.infer({"x": np.ones((2, 4), np.float32)})["y"]
    for items in (1, 8, 3):
        x = np.random.default_rng(items).standard_normal((items, 4), np.float32)
        for lane in lanes:
            np.testing.assert_array_equal(lane.infer({"x": x})["y"], 2 * x)
    np.testing.assert_array_equal(first, np.full((2, 4), 2, np.float32))
    for lane in lanes:
        lane.close()
        lane.close()
    assert driver.calls.count("cuStreamDestroy_v2") == driver.calls.count("cuStreamCreate") == 2
    assert driver.calls.count("cuMemFree_v2") == driver.calls.count("cuMemAlloc_v2")


@pytest.mark.parametrize("items", [0, 9])
def test_a_request_that_the_engine_was_not_built_for_says_so(install, tmp_path, items):
    _, built = artifact(install, tmp_path)
    session = TensorRt().load(built, Setting("1x1"), "cuda")
    message = rf"input x of shape \({items}, 4\): the engine takes those from \(1, 4\) to \(8, 4\)"
    with pytest.raises(ValueError, match=message):
        session.infer({"x": np.ones((items, 4), np.float32)})


def test_an_output_whose_size_the_values_decide_is_unsupported(install, tmp_path, monkeypatch):
    _, built = artifact(install, tmp_path)
    monkeypatch.setattr(fake_tensorrt.Context, "get_tensor_shape", lambda self, name: (-1, 4))
    session = TensorRt().load(built, Setting("1x1"), "cuda")
    with pytest.raises(Unsupported, match="the size of output y depends on the values of a request"):
        session.infer({"x": np.ones((2, 4), np.float32)})


def test_gpu_memory_that_runs_out_is_that(install, tmp_path, driver):
    _, built = artifact(install, tmp_path)
    session = TensorRt().load(built, Setting("1x1"), "cuda")
    driver.do_cuMemAlloc_v2 = lambda *_: 2
    with pytest.raises(MemoryError, match="cuMemAlloc_v2 finds no GPU memory"):
        session.infer({"x": np.ones((2, 4), np.float32)})


def test_an_engine_of_another_version_is_to_be_built_again(install, tmp_path):
    _, built = artifact(install, tmp_path)
    install("11.0.0")
    with pytest.raises(Unavailable, match=r"TensorRT 11\.0\.0 cannot read this engine on NVIDIA Fake"):
        TensorRt().load(built, Setting("1x1"), "cuda")


# the file in a lower precision


@pytest.mark.parametrize(("precision", "most"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_cast_products_compute_the_model_at_the_precision_asked_for(model, tmp_path, precision, most):
    onnx_casting.cast_products(model, precision, tmp_path / "cast.onnx")
    onnx.checker.check_model(tmp_path / "cast.onnx", full_check=True)
    evaluator = ReferenceEvaluator(str(tmp_path / "cast.onnx"))
    request = ranker.request(7, 3)
    found = dict(zip(ranker.OUTPUTS, evaluator.run(list(ranker.OUTPUTS), request), strict=True))
    for name, expected in ranker.reference(request).items():
        error = np.linalg.norm(found[name] - expected) / np.linalg.norm(expected)
        assert found[name].dtype == np.float32
        assert most / 1000 < error < most


def test_a_model_without_products_is_refused(tmp_path):
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "x"], ["y"])], "sum", [x], [y])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "sum.onnx")
    model = Model({"onnx": tmp_path / "sum.onnx"}, (), ("y",))
    with pytest.raises(Unsupported, match="fp16: none of its 1 nodes is a MatMul, Gemm or Conv"):
        onnx_casting.cast_products(model, "fp16", tmp_path / "cast.onnx")


def test_weights_that_a_branch_reads_too_stay_in_the_file(tmp_path):
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    x, flag = value("x", onnx.TensorProto.FLOAT, [2, 3]), value("flag", onnx.TensorProto.BOOL, [])
    branches = {
        name: onnx.helper.make_graph([node("MatMul", ["x", "w"], [name])], name, [], [value(name, 1, [2, 3])])
        for name in ("then_branch", "else_branch")
    }
    nodes = [
        node("MatMul", ["x", "w"], ["product"]),
        node("If", ["flag"], ["chosen"], **branches),
        node("Add", ["product", "chosen"], ["y"]),
    ]
    w = onnx.numpy_helper.from_array(np.arange(9, dtype=np.float32).reshape(3, 3), "w")
    graph = onnx.helper.make_graph(nodes, "branching", [x, flag], [value("y", 1, [2, 3])], [w])
    source, cast = tmp_path / "source.onnx", tmp_path / "cast.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), source)
    onnx_casting.cast_products(Model({"onnx": source}, (), ("y",)), "fp16", cast)
    assert {constant.name for constant in onnx.load(cast).graph.initializer} == {"w", "w_fp16"}
    given = {"x": np.ones((2, 3), np.float32), "flag": np.array(True)}
    found, expected = (ReferenceEvaluator(str(path)).run(None, given)[0] for path in (cast, source))
    np.testing.assert_allclose(found, expected)
