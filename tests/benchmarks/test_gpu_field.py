"""The field of engines on a GPU: measured on the CPU here, told on made-up figures, and nothing where there is none."""

import pickle
import subprocess
from dataclasses import asdict
from types import SimpleNamespace

import gpu_field
import numpy as np
import pytest
import table_models
from field import child
from field.running import Ceilings, Field, Row, Work
from field.telling import break_even, ceiling_lines, table

from bakeoff.backends import Model, Session, Setting, Tensor, Unavailable
from bakeoff.measure import host

WORK = Work((0.0, 2e6), (1e6, 1e3))
CEILINGS = {
    "cpu": Ceilings(10e9, {"fp32": 50e9}),
    "cuda": Ceilings(4e12, {"fp32": 60e12, "fp16": 900e12}, 50e9),
}
GIVEN = Model({}, (Tensor("x", "float32", (None, 1)),), ("y",), [{"x": np.arange(90, dtype=np.float32)[:, None]}])
ROWS = (
    Row("ctr-dlrm", "cpu", "torch/fp32/1x1", "fp32", {1: 1e-4, 32: 2e-3, 4096: 0.2}),
    Row("ctr-dlrm", "cuda", "torch/fp32/1x1-graphs", "fp32", {1: 2e-4, 32: 2.5e-4, 4096: 1e-3}),
    Row("ctr-dlrm", "cuda", "tensorrt", "", refused="the package tensorrt is not installed; pip install it"),
)
BATCHES = (1, 32, 4096)


def test_a_row_has_its_medians_and_what_they_come_to():
    lines = table(ROWS, BATCHES, WORK, CEILINGS)
    assert lines[0].split() == ["p50,", "ms,", "at", "a", "batch", "of", "1", "32", "4096"]
    assert lines[1].split() == ["cpu", "torch/fp32/1x1", "0.1", "2", "200"]
    assert lines[2].split()[:4] == ["GB/s", "10", "0.516", "0.0255"]
    assert lines[2].endswith("best 100.1% of 10")
    assert lines[3].endswith("best 81.9% of 50")
    assert lines[-1].endswith("not measured: the package tensorrt is not installed; pip install it")


def test_batches_that_were_too_slow_are_left_open():
    row = Row("x", "cpu", "torch/fp32/1x1", "fp32", {1: 0.1})
    assert table([row], BATCHES, WORK, {})[1].split()[-3:] == ["100", "-", "-"]


def test_the_break_even_is_by_batch_and_by_load():
    lines = break_even(ROWS, BATCHES, gpu_price=2.0, core_price=0.05, cpus=1)
    assert lines[0] == "break-even: the GPU answers sooner from a batch of 32 on"
    assert lines[1] == "  batch     1: a GPU carries 5000 requests/s, and is never cheaper"
    assert lines[2] == "  batch    32: a GPU carries 4000 requests/s, and is never cheaper"
    assert lines[3] == "  batch  4096: a GPU carries 1000 requests/s, and is cheaper from 200 requests/s on"


def test_with_one_device_alone_there_is_no_break_even():
    assert break_even(ROWS[:1], BATCHES, 2.0, 0.05, 1)[0].startswith("break-even: unknown, for it takes both")


def test_the_ceilings_are_told():
    assert ceiling_lines(CEILINGS) == [
        "cpu: a copy 10 GB/s; products, GFLOP/s: fp32 50",
        "cuda: a copy 4000 GB/s; products, GFLOP/s: fp32 60000, fp16 900000",
        "cuda: from pinned host memory 50 GB/s",
    ]


def test_without_a_gpu_it_says_that_nothing_was_measured(monkeypatch, capsys):
    def absent():
        raise Unavailable("no CUDA device", "run it elsewhere")

    monkeypatch.setattr(host, "facts", lambda: {"cpu": "Some CPU", "gpus": []})
    monkeypatch.setattr(gpu_field, "Driver", absent)
    assert gpu_field.main([]) == gpu_field.NO_GPU
    told = capsys.readouterr().out.splitlines()
    assert told == ["Some CPU; 1 core(s); GPUs: none", "Nothing was measured: no CUDA device; run it elsewhere"]


def test_requests_of_any_size_are_made_of_the_samples_rows_in_turn():
    inputs = (Tensor("x", "float32", (None, 2)), Tensor("user", "int64", (1, 3), "request"))
    samples = [
        {"x": np.arange(6, dtype=np.float32).reshape(3, 2) + 6 * k, "user": np.full((1, 3), k)} for k in range(2)
    ]
    first, second, third = child.requests_of(Model({}, inputs, (), samples), 4, 3)
    assert first["x"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert second["x"].tolist() == [[8, 9], [10, 11], [0, 1], [2, 3]]
    assert [each["user"][0, 0] for each in (first, second, third)] == [0, 1, 0]


def test_a_call_that_is_too_slow_ends_the_row(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(child.time, "perf_counter", lambda: now[0])
    seen = []

    def infer(request):
        seen.append(request["x"][0, 0])
        now[0] += len(request["x"]) / 4

    assert dict(child.timed(infer, GIVEN, (1, 8, 32, 64))) == {1: 0.25, 8: 2.0}
    assert seen[:8] == [0, 1, 2, 0, 1, 2, 3, 4], "every timed call has another request"


class Wrong(Session):
    """Answers rightly up to 8 items."""

    def infer(self, inputs):
        return {"y": inputs["x"][:, 0] if len(inputs["x"]) <= 8 else np.zeros(len(inputs["x"]), np.float32)}


def test_answers_are_held_to_torchs_at_the_largest_size_too(monkeypatch, tmp_path):
    monkeypatch.setattr(child, "CALLS_S", 0.01)
    monkeypatch.setattr(child, "create", lambda target: SimpleNamespace(load=lambda *_: Wrong()))
    (tmp_path / "artifact").write_bytes(pickle.dumps(None))
    (tmp_path / "model").write_bytes(pickle.dumps(GIVEN))
    right = {items: child.requests_of(GIVEN, items, 1)[0]["x"][:, 0] for items in (1, 8, 64)}
    np.savez(tmp_path / "expected.npz", **{f"y-{items}": values for items, values in right.items()})
    order = {"model": tmp_path / "model", "into": tmp_path, "expected": tmp_path / "expected.npz", "target": "x"}
    order |= {"setting": asdict(Setting("1x1")), "device": "cpu"}
    assert child.serve(order | {"batches": [1, 8]})["error"] == 0.0
    found = child.serve(order | {"batches": [1, 8, 64]})
    assert found["error"] == 1.0
    assert list(found["seconds"]) == [1, 8, 64]


def test_a_child_that_takes_too_long_is_a_refusal(monkeypatch, tmp_path):
    def endless(*_, timeout, **__):
        raise subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(subprocess, "run", endless)
    field = Field(("cpu",), ("fp32",), 1, tmp_path)
    assert field._child("build", "cpu", {}) == {"refused": "build: no answer within 1800 s"}


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    """A small model with a table, as a file."""
    return table_models.write(tmp_path_factory.mktemp("field"))


@pytest.mark.quality
def test_on_the_cpu_it_measures_what_it_can(ranker, capsys):
    words = ["--device", "cpu", "--batches", "1,32", "--workload", str(ranker), "--engine", "torch"]
    assert gpu_field.main([*words, "--engine", "onnxruntime", "--engine", "tensorrt"]) == 0
    told = capsys.readouterr().out
    rows = {line.split()[1]: line.split() for line in told.splitlines() if line.startswith("cpu ")}
    for name in ("torch/fp32/1x1", "onnxruntime/fp32/1x1"):
        assert all(0.0 < float(cell) < 1000.0 for cell in rows[name][2:]), told
    assert "TensorRT runs on cuda alone; set resources.device: cuda" in told
    assert "break-even: unknown" in told
    assert "cpu: a copy " in told
