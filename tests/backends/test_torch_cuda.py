"""torch's way to a GPU as far as it goes without one: settings, precisions, keys, the copies, and graphs on fakes."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import table_models
import torch

from bakeoff.backends import Resources, Setting, Unsupported
from bakeoff_backends import torch_compile, torch_cuda, torch_cuda_graphs, torch_eager, torch_graph, torch_session
from bakeoff_backends.torch_compile import TorchCompile, _options
from bakeoff_backends.torch_eager import TorchEager


def names(backend, resources, on_request=False):
    return [each.name for each in backend.settings(resources) if each.on_request == on_request]


def test_settings_on_one_gpu_and_on_two():
    assert names(TorchEager(), Resources(1, gpus=1)) == ["1x1", "1x1-graphs"]
    assert names(TorchEager(), Resources(1, gpus=1), True) == ["1x1-tables-on-cpu"]
    assert names(TorchEager(), Resources(1, gpus=2)) == ["1x1", "1x1-graphs", "1x1-tables-sharded"]
    assert names(TorchCompile(), Resources(1, gpus=1)) == ["1x1", "1x1-graphs"]
    assert names(TorchCompile(), Resources(1, gpus=1), True) == ["1x1-autotune", "1x1-nofuse"]
    assert names(TorchEager(), Resources(1)) == names(TorchCompile(), Resources(1)) == ["1x1"]


def test_graphs_are_a_choice_at_load_and_tuning_is_one_at_build():
    keys = {s.name: TorchCompile().build_depends_on(s) for s in TorchCompile().settings(Resources(1, gpus=1))}
    assert keys["1x1"] == keys["1x1-graphs"] == {"threads": 1}
    assert keys["1x1-autotune"] == {"threads": 1, "autotune": True}
    assert _options(Setting("x", options={"graphs": True, "autotune": True})) == {"max_autotune": True}


@pytest.mark.parametrize(
    ("capability", "found"),
    [((9, 0), ("fp32", "tf32", "bf16", "fp16")), ((7, 5), ("fp32", "fp16")), (None, ("fp32",))],
)
def test_precisions_go_by_the_gpu(monkeypatch, capability, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert TorchEager().precisions("cuda") == TorchCompile().precisions("cuda") == found


def test_the_probe_tells_the_gpu(monkeypatch):
    ones = torch.ones
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA Fake")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "ones", lambda *shape, device=None: ones(*shape))
    details = TorchEager().probe("cuda").details
    assert details["gpu"] == "NVIDIA Fake"
    assert (details["compute_capability"], details["cuda"], details["gpus"]) == ("9.0", "13.0", "2")


@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_float32_is_rounded_to_tf32_at_that_precision_alone(precision, rounded):
    torch_cuda.multiply_in("tf32" if not rounded else "fp32")
    try:
        torch_cuda.multiply_in(precision)
        assert (torch.get_float32_matmul_precision() == "high") is rounded
        assert torch.backends.cudnn.allow_tf32 is rounded
    finally:
        torch_cuda.multiply_in("fp32")


def test_fp16_is_a_rewrite_of_the_graph_like_bf16():
    errors = {}
    for precision in torch_graph.HALVES:
        module = table_models.exported(torch.nn.ModuleDict({"m": Mlp()})["m"])
        torch_eager.REWRITES[precision](module)
        asked = table_models.request(5)
        with torch.inference_mode():
            found = module(*map(torch.from_numpy, asked.values()))
            wanted = Mlp()(*map(torch.from_numpy, asked.values()))
        errors[precision] = float((found - wanted).norm() / wanted.norm())
    assert 0.0 < errors["fp16"] < 2e-3
    assert errors["fp16"] < errors["bf16"] < 2e-2


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))

    def forward(self, dense, ids):
        return self.layers(dense)[:, 0] + ids[:, 0]


# the session, with the CPU for a GPU


def test_answers_are_right_owned_and_of_any_size(tmp_path):
    module = table_models.Ranker().eval()
    session = torch_cuda.CudaSession(
        torch_cuda.Runner(table_models.exported(module), table_models.CPU), table_models.artifact(tmp_path)
    )
    kept = session.infer(table_models.request(2))
    first = {name: values.copy() for name, values in kept.items()}
    for items in (1, 9, 2, 4):
        asked = table_models.request(items)
        for name, values in table_models.expected(module, asked).items():
            np.testing.assert_array_equal(session.infer(asked)[name], values)
    assert all(np.array_equal(kept[name], first[name]) and kept[name].flags.owndata for name in kept)
    assert session.spent_ns() == {}
    session.close()
    assert session.spent_ns() == {}


def test_inputs_stay_as_they_are_and_may_be_read_only(tmp_path):
    asked = table_models.request(3)
    before = {name: values.copy() for name, values in asked.items()}
    for values in asked.values():
        values.flags.writeable = False
    module = table_models.exported(table_models.Ranker())
    torch_cuda.CudaSession(torch_cuda.Runner(module, table_models.CPU), table_models.artifact(tmp_path)).infer(asked)
    assert all(np.array_equal(asked[name], before[name]) for name in asked)


def test_a_room_grows_and_is_pinned_for_a_gpu(monkeypatch):
    made = []
    empty = torch.empty
    monkeypatch.setattr(
        torch,
        "empty",
        lambda *size, pin_memory=False, **more: (made.append((size, pin_memory)), empty(*size, **more))[1],
    )
    room = torch_cuda.Room(torch.device("cuda", 0))
    assert room.tensor((2, 3), torch.float32).shape == (2, 3)
    assert room.tensor((2,), torch.int64).dtype == torch.int64
    assert room.tensor((0, 3), torch.float32).shape == (0, 3)
    assert room.tensor((), torch.float32).shape == ()
    room.tensor((4, 3), torch.float32)
    assert made == [((0,), False), ((24,), True), ((48,), True)]


# CUDA graphs


@pytest.fixture
def cuda(monkeypatch):
    """torch.cuda's graphs on the CPU: playing one does nothing, so that only views of its inputs change."""
    told = SimpleNamespace(recorded=0, played=0, broken="")

    class Graph:
        def replay(self):
            told.played += 1

    @contextmanager
    def graph(_, pool):
        told.recorded += 1
        try:
            yield
        finally:
            if told.broken:
                raise RuntimeError(told.broken)

    @contextmanager
    def stream(_):
        yield

    here = SimpleNamespace(wait_stream=lambda other: None, synchronize=lambda: None)
    for name, value in {
        "graph_pool_handle": lambda: "pool",
        "current_stream": lambda place: here,
        "Stream": lambda place: here,
        "stream": stream,
        "CUDAGraph": Graph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return told


def doubled_view(dense, ids):
    return dense.view(dense.shape), ids.view(ids.shape)


def test_a_shape_is_recorded_once_and_played_after_that(cuda, tmp_path):
    runner = torch_cuda_graphs.GraphRunner(doubled_view, table_models.CPU)
    session = torch_cuda.CudaSession(runner, table_models.artifact(tmp_path))
    for items in (2, 5, 2, 2, 5):
        asked = {name: values + items for name, values in table_models.request(items).items()}
        found = session.infer(asked)
        np.testing.assert_array_equal(found["score"], asked["dense"])
        np.testing.assert_array_equal(found["vector"], asked["ids"])
    assert (cuda.recorded, cuda.played) == (2, 5)


def test_beyond_so_many_shapes_the_rest_runs_kernel_by_kernel(cuda, monkeypatch, tmp_path):
    monkeypatch.setattr(torch_cuda_graphs, "MOST_GRAPHS", 2)
    session = torch_cuda.CudaSession(
        torch_cuda_graphs.GraphRunner(doubled_view, table_models.CPU), table_models.artifact(tmp_path)
    )
    for items in (1, 2, 3, 3, 1):
        asked = table_models.request(items)
        np.testing.assert_array_equal(session.infer(asked)["score"], asked["dense"])
    assert (cuda.recorded, cuda.played) == (2, 3)


def test_what_a_graph_cannot_hold_is_unsupported(cuda, tmp_path):
    cuda.broken = "operation not permitted when stream is capturing\nmore"
    session = torch_cuda.CudaSession(
        torch_cuda_graphs.GraphRunner(doubled_view, table_models.CPU), table_models.artifact(tmp_path)
    )
    with pytest.raises(Unsupported, match="as a CUDA graph: RuntimeError: operation not permitted when stream"):
        session.infer(table_models.request(2))


@pytest.mark.parametrize(
    ("reason", "raised"),
    [("a value is read on the host", Unsupported), ("CUDA out of memory. Tried to allocate 2 GiB", RuntimeError)],
)
def test_what_ended_a_recording_is_told_and_not_that_it_ended(cuda, tmp_path, reason, raised):
    cuda.broken = "operation failed due to a previous error during capture"

    def failing(dense, ids):
        if cuda.recorded:
            raise RuntimeError(reason)
        return dense, ids

    session = torch_cuda.CudaSession(
        torch_cuda_graphs.GraphRunner(failing, table_models.CPU), table_models.artifact(tmp_path)
    )
    with pytest.raises(raised, match=reason):
        session.infer(table_models.request(2))


# AOTInductor


def test_a_package_is_called_by_its_loader(monkeypatch, tmp_path):
    """The package's own call would read its signature anew for each request: this one cannot be called."""
    package = SimpleNamespace(loader=SimpleNamespace(boxed_run=lambda tensors: [2 * each for each in tensors]))
    monkeypatch.setattr(torch_compile, "_load", lambda path, graphs: package)
    monkeypatch.setattr(torch_session, "set_threads", lambda threads: None)
    session = TorchCompile().load(table_models.artifact(tmp_path), Setting("1x1"), "cuda")
    (doubled,) = session._runner._model(torch.ones(2))
    assert doubled.tolist() == [2.0, 2.0]
