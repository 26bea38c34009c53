"""Of several builds torch-compile keeps the soonest; its int8 runs in int8 kernels, or it says why not."""

import json
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from engine_child import child

from bakeoff.backends import Model, Session, Setting
from bakeoff_backends import torch_compile, torch_quantising, torch_session
from bakeoff_backends.torch_compile import TorchCompile, times_s

HERE = Path(__file__).parent
TARGET = "bakeoff_backends.torch_compile:TorchCompile"
INT8 = ("int8-dynamic", "int8-static")
takes_torchao = pytest.mark.skipif(find_spec("torchao") is None, reason="int8 takes torchao")
SAMPLES = [{"items": np.zeros(items)} for items in (1, 8, 1)]


class Sleeper(Session):
    """Takes `base_s` for a call, and `per_item_s` for each item."""

    def __init__(self, base_s, per_item_s):
        self.base_s, self.per_item_s, self.calls = base_s, per_item_s, 0

    def infer(self, inputs):
        self.calls += 1
        time.sleep(self.base_s + self.per_item_s * len(inputs["items"]))
        return {}


def test_the_sooner_depends_on_the_samples():
    at_one, at_eight = Sleeper(0.0, 0.004), Sleeper(0.008, 0.0)
    for samples, sooner in ((SAMPLES[:1], at_one), (SAMPLES[1:2], at_eight), (SAMPLES, at_eight)):
        found_s = times_s([at_one, at_eight], samples)
        assert [at_one, at_eight][found_s.index(min(found_s))] is sooner


def test_without_samples_all_are_alike():
    assert times_s([Sleeper(0.1, 0.0), Sleeper(0.0, 0.0)], []) == [0.0, 0.0]


def test_a_pass_ends_where_its_samples_take_too_long():
    slow, slower = Sleeper(0.3, 0.0), Sleeper(0.35, 0.0)
    times_s([slow, slower], SAMPLES * 100)
    assert slower.calls < 30


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr(torch_session, "set_threads", lambda threads: None)
    monkeypatch.setattr(torch_compile, "_compiler", lambda: "c++")
    for name in ("CXX", "TORCHINDUCTOR_CACHE_DIR", "TORCHINDUCTOR_COMPILE_THREADS"):
        monkeypatch.setenv(name, "")


def test_a_further_build_that_fails_leaves_the_plain_one(without_torch, monkeypatch, tmp_path):
    def compiled(model, package, precision, device, options):
        if options["freezing"]:
            raise RuntimeError("no frozen weights today")
        package.write_text("plain")

    monkeypatch.setattr(torch_compile, "_compile", compiled)
    model = Model({}, (), ("y",), SAMPLES)
    artifact = TorchCompile().build(model, "fp32", Setting("1x1"), "cpu", tmp_path)
    assert artifact.path.read_text() == "plain"
    if "bf16" in TorchCompile().precisions("cpu"):
        with pytest.raises(RuntimeError, match="no frozen weights today"):
            TorchCompile().build(model, "bf16", Setting("1x1"), "cpu", tmp_path)


@takes_torchao
@pytest.mark.vnni
@pytest.mark.quality
def test_int8_is_near_to_fp32_at_sizes_that_no_sample_has_and_is_refused_without_int8_kernels(tmp_path):
    """A build without int8 kernels would be refused, so that answers are int8's; they differ from fp32 for that."""
    found = json.loads(child(str(HERE / "quantised.py"), str(tmp_path)))
    assert tuple(found["errors"]) == INT8
    for precision, errors in found["errors"].items():
        for items, error in errors.items():
            assert 1e-4 < error < 0.1, f"{precision} at {items} items: {error}"
    assert found["refusal"] == "Inductor has int8 kernels for 0 of 3 quantised aten.linear.default"


@takes_torchao
@pytest.mark.vnni
@pytest.mark.parametrize("precision", INT8)
@pytest.mark.slow
def test_a_model_without_a_weight_to_quantise_is_unsupported(tmp_path, precision):
    reason = child(str(HERE / "building.py"), TARGET, "doubled", precision, str(tmp_path))
    assert reason.startswith("nothing to quantise: the model has no linear layer")


UNCALIBRATED = """
from pathlib import Path
from bakeoff.backends import Model, Resources, Tensor, Unsupported
from bakeoff_backends import torch_quantising
import torch
x = torch.ones(2, 4)
program = torch.export.export(torch.nn.Linear(4, 4), (x,), dynamic_shapes=({0: torch.export.Dim("items")},))
try:
    torch_quantising.quantised(program, Model({}, (Tensor("x", "float32", (None, 4)),), ("y",)), "int8-static")
except Unsupported as refusal:
    print(refusal)
"""


@pytest.mark.engines
@pytest.mark.slow
def test_static_int8_without_samples_is_unsupported():
    assert child("-c", UNCALIBRATED) == (
        "int8-static needs sample requests to calibrate on, and this model comes without"
    )


FAILING = """
import sys
from bakeoff.backends import Model, Tensor, Unsupported
from bakeoff_backends import torch_graph, torch_quantising
import torch, torchao.quantization
x = torch.ones(2, 4)
program = torch.export.export(torch.nn.Linear(4, 4), (x,), dynamic_shapes=({0: torch.export.Dim("items")},))
def fail(*_):
    raise eval(sys.argv[2])
holder, _, name = sys.argv[1].rpartition(".")
setattr(eval(holder), name, fail)
try:
    torch_quantising.quantised(program, Model({}, (Tensor("x", "float32", (None, 4)),), ("y",)), "int8-dynamic")
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.engines
@takes_torchao
@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "raised", "told"),
    [
        ("torchao.quantization.quantize_", "KeyError('aten')", "Unsupported: torchao cannot quantise it: KeyError: 'a"),
        ("torchao.quantization.quantize_", "MemoryError('full')", "MemoryError: full"),
        ("torch_graph.again", "MemoryError('full')", "MemoryError: full"),
        ("torch_graph.constant_linears", "TypeError('ours')", "TypeError: ours"),
    ],
)
def test_what_torchao_raises_is_unsupported_but_memory_that_ran_out_and_slips_of_ours_are_not(where, raised, told):
    assert child("-c", FAILING, where, raised).startswith(told)


def test_without_torchao_or_vnni_int8_is_not_offered(monkeypatch):
    backend = TorchCompile()
    assert backend.on_request == set(INT8)
    monkeypatch.setattr(torch_quantising, "has_vnni", lambda: True)
    monkeypatch.setattr(torch_quantising, "find_spec", lambda name: object())
    assert set(INT8) < set(backend.precisions("cpu"))
    monkeypatch.setattr(torch_quantising, "find_spec", lambda name: None)
    assert set(INT8).isdisjoint(backend.precisions("cpu"))
    monkeypatch.setattr(torch_quantising, "find_spec", lambda name: object())
    monkeypatch.setattr(torch_quantising, "has_vnni", lambda: False)
    assert set(INT8).isdisjoint(backend.precisions("cpu"))
