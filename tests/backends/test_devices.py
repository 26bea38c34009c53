"""What each built-in plugin says of a device that it does not have."""

import pytest

from bakeoff.backends import Facts, Unavailable, create, registered, require_device
from bakeoff_backends import torch_compile, torch_cuda, torch_session

ON_CPU_ALONE = {
    "executorch": "ExecuTorch",
    "litert": "LiteRT",
    "mnn": "MNN",
    "openvino": "OpenVINO",
    "tensorflow": "TensorFlow",
}


def told(call, *words):
    with pytest.raises(Unavailable) as unavailable:
        call(*words)
    return unavailable.value.reason, unavailable.value.remedy


@pytest.mark.parametrize("name", ON_CPU_ALONE)
def test_an_engine_of_the_cpu_says_so_and_what_to_do(name):
    found = told(create(registered()[name].value).probe, "cuda")
    assert found == (f"{ON_CPU_ALONE[name]} runs on cpu alone", "set resources.device: cpu or leave it out")


@pytest.mark.parametrize("name", ["torch", "torch-compile", "onnxruntime", "jax", "tvm"])
def test_one_of_both_names_them(name):
    reason, remedy = told(create(registered()[name].value).probe, "abacus")
    assert reason.endswith(" runs on cpu and cuda alone")
    assert remedy == "set resources.device: cpu or leave it out"


def test_the_usual_device_is_the_remedy():
    require_device("Engine", "cuda", "cuda")
    assert told(require_device, "Engine", "cpu", "cuda") == ("Engine runs on cuda alone", "set resources.device: cuda")


@pytest.mark.parametrize("name", ["torch", "torch-compile"])
def test_a_torch_for_the_cpu_says_which_one_to_install(name, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", None)
    reason, remedy = told(create(registered()[name].value).probe, "cuda")
    assert reason == f"torch {torch.__version__} is built without CUDA"
    assert remedy == torch_cuda.REMEDY


def test_a_torch_for_cuda_without_a_gpu_says_so(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert told(torch_cuda.describe)[0] == f"torch {torch.__version__} finds no GPU"


def test_torch_compile_on_a_gpu_needs_triton(monkeypatch):
    monkeypatch.setattr(torch_session, "probe", lambda device: Facts("2.13"))
    monkeypatch.setattr(torch_compile, "find_spec", lambda name: None)
    assert torch_compile.TorchCompile().probe("cpu").version == "2.13"
    reason, remedy = told(torch_compile.TorchCompile().probe, "cuda")
    assert reason == "Inductor writes a GPU's kernels in Triton, which is not installed"
    assert remedy == "pip install triton"


def test_an_onnxruntime_without_cuda_names_what_it_has_and_the_package():
    reason, remedy = told(create(registered()["onnxruntime"].value).probe, "cuda")
    assert reason.startswith("this onnxruntime has no CUDAExecutionProvider, only ")
    assert remedy == "pip install 'bakeoff[onnxruntime-gpu]', in an environment without onnxruntime"
