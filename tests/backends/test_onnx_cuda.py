"""ONNX Runtime's way to a GPU as far as it goes without one: providers, options, engines, bound tensors on the CPU."""

import ctypes
import json
import os
import sys

import fake_onnxruntime
import fake_tensorrt
import numpy as np
import onnx
import onnxruntime
import pytest
from fake_onnxruntime import CPU, CUDA, TENSORRT

from bakeoff.backends import Artifact, Model, Resources, Setting, Tensor, Unavailable, Unsupported
from bakeoff.conformance import ranker
from bakeoff_backends import onnx_cuda
from bakeoff_backends.onnx_runtime import OnnxRuntime

PLAIN, ENGINES = Setting("1x1"), Setting("1x1-tensorrt", options={"provider": "tensorrt"})


@pytest.fixture
def install(monkeypatch):
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)

    def install(**more):
        module = fake_onnxruntime.make(**more)
        monkeypatch.setitem(sys.modules, "onnxruntime", module)
        return module

    yield install
    os.environ.pop("NVIDIA_TF32_OVERRIDE", None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    ranker.write(folder, "onnx")
    return ranker.model(folder, ("onnx",))


def build(model, precision, setting, into):
    into.mkdir()
    return OnnxRuntime().build(model, precision, setting, "cuda", into)


def test_on_a_gpu_each_provider_has_its_settings():
    found = OnnxRuntime().settings(Resources(4, gpus=1))
    assert [s.name for s in found if not s.on_request] == ["1x1", "4x1", "1x1-tensorrt", "4x1-tensorrt"]
    assert [s.name for s in found if s.on_request] == ["1x1-nofuse", "4x1-nofuse"]
    assert OnnxRuntime().precisions("cuda") == ("fp32", "tf32", "fp16")
    keys = [OnnxRuntime().build_depends_on(s) for s in found]
    assert keys == [{}, {}, {"provider": "tensorrt"}, {"provider": "tensorrt"}, {}, {}]


@pytest.fixture
def driver(monkeypatch):
    driver = fake_tensorrt.Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    return driver


def test_the_probe_computes_on_the_gpu(install, driver):
    module = install()
    details = OnnxRuntime().probe("cuda").details
    assert details == {"providers": ", ".join((TENSORRT, CUDA, CPU)), "gpu": "NVIDIA Fake"}
    assert module.told == ["libraries", {CUDA: {}}], "the libraries come before the session that needs them"


def test_without_a_gpu_the_probe_says_so_and_not_that_a_package_is_missing(install, driver):
    install()
    driver.devices = 0
    with pytest.raises(Unavailable, match="no CUDA device: NVIDIA's driver is here and finds none"):
        OnnxRuntime().probe("cuda")


def test_a_session_that_falls_back_without_a_word_is_unavailable(install, driver, model, tmp_path):
    install(falls_back_to=CPU)
    with pytest.raises(Unavailable) as fell:
        OnnxRuntime().probe("cuda")
    assert fell.value.reason == f"onnxruntime fell back from {CUDA} to {CPU}"
    assert "bakeoff[onnxruntime-gpu]" in fell.value.remedy
    install(falls_back_to=CUDA)
    with pytest.raises(Unavailable, match=f"onnxruntime fell back from {TENSORRT} to {CUDA}"):
        build(model, "fp32", ENGINES, tmp_path / "built")


def test_without_tensorrts_provider_its_settings_say_what_to_install(install, model, tmp_path):
    install(available=(CUDA, CPU))
    with pytest.raises(Unavailable) as absent:
        build(model, "fp32", ENGINES, tmp_path / "built")
    assert absent.value.reason == f"this onnxruntime has no {TENSORRT}, only {CUDA}, {CPU}"
    assert "and TensorRT 10, whose libnvinfer it links" in absent.value.remedy


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("tf32", "1"), ("fp16", "0")])
def test_float32_is_rounded_to_tf32_at_that_precision_alone(install, model, tmp_path, precision, tf32):
    module = install()
    artifact = build(model, precision, PLAIN, tmp_path / "built")
    assert module.told == [], "nothing is opened to build for the CUDA provider"
    OnnxRuntime().load(artifact, PLAIN, "cuda")
    assert module.told == ["libraries", {CUDA: {"device_id": "0", "use_tf32": tf32}}]
    written = onnx.load(artifact.path)
    assert any(w.data_type == onnx.TensorProto.FLOAT16 for w in written.graph.initializer) == (precision == "fp16")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_engines_are_built_for_the_traffics_shapes_and_found_again(install, model, tmp_path, precision):
    module = install()
    artifact = build(model, precision, ENGINES, tmp_path / "built")
    assert (tmp_path / "built" / "engines").is_dir()
    profile = json.loads((tmp_path / "built" / "tensorrt.json").read_text())
    assert profile == {
        "trt_profile_min_shapes": "features:1x4,ids:1x2",
        "trt_profile_opt_shapes": "features:30x4,ids:30x2",
        "trt_profile_max_shapes": "features:4096x4,ids:4096x2",
    }
    assert module.ran[0]["ids"] == (30, 2)
    (tmp_path / "built").rename(tmp_path / "kept")
    moved = Artifact(tmp_path / "kept" / artifact.path.name, precision, artifact.inputs, artifact.outputs)
    OnnxRuntime().load(moved, ENGINES, "cuda")
    first, second = (each for each in module.told if each != "libraries")
    assert list(second) == [TENSORRT, CUDA], "what TensorRT does not take runs on the CUDA provider"
    assert second[TENSORRT].items() >= profile.items()
    assert second[TENSORRT]["trt_engine_cache_path"] == str(tmp_path / "kept" / "engines")
    assert first[TENSORRT]["trt_engine_cache_path"] == str(tmp_path / "built" / "engines")
    assert second[TENSORRT]["trt_fp16_enable"] == str(int(precision == "fp16"))
    assert os.environ.get("NVIDIA_TF32_OVERRIDE") == (None if precision == "tf32" else "0")


def test_a_free_axis_of_unknown_length_is_unsupported(install, model, tmp_path):
    install()
    words = Model(model.files, (Tensor("tokens", "int64", (None, None)),), ("y",), (), (3,))
    with pytest.raises(Unsupported, match="axis 1 of the input tokens is free and no sample says how long"):
        build(words, "fp32", ENGINES, tmp_path / "built")


# bound tensors, in the memory of the CPU


def bound(model, **more):
    session = onnxruntime.InferenceSession(str(model.files["onnx"]), providers=[CPU])
    artifact = Artifact(model.files["onnx"], "fp32", model.inputs, model.outputs)
    return onnx_cuda.BoundSession(session, artifact, "cpu")


def test_answers_are_right_owned_and_of_any_size_on_every_lane(model):
    session = bound(model)
    lanes = [session.lane(0), session.lane(1)]
    assert lanes[0] is session
    kept = session.infer(ranker.request(3, 1))
    first = {name: values.copy() for name, values in kept.items()}
    for items in (1, 8, 3, 8):
        asked = ranker.request(items, items)
        for lane in lanes:
            found = lane.infer(asked)
            for name, values in ranker.reference(asked).items():
                np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(kept[name], values) for name, values in first.items())
    session.close()


def test_memory_is_kept_for_so_many_shapes_and_no_more(model, monkeypatch):
    monkeypatch.setattr(onnx_cuda, "MOST_SHAPES", 2)
    session = bound(model)
    for items in (1, 2, 3, 1):
        session.infer(ranker.request(items, items))
        assert all(len(held) <= 2 for held in session._held.values())
