import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bakeoff.errors import UserError
from bakeoff.workloads import prepare
from bakeoff.workloads.preparing import spec_of


def test_several_files_of_one_signature_are_variants(models, prepare_here, tmp_path) -> None:
    base, student = models["mlp"](tmp_path / "a.onnx"), models["mlp"](tmp_path / "b.onnx", external=True)
    prepared = prepare_here(None, variants={"base": str(base), "student": str(student)})
    assert prepared.variants.keys() == {"base", "student"}
    assert prepared.model("student").file("onnx").is_file()
    session = onnxruntime.InferenceSession(str(prepared.model("student").file("onnx")))
    pool = prepared.requests("student")
    assert pool.references == prepared.requests().references >= 8
    for i in range(pool.references):
        answer = session.run(None, pool.get(i))[0]
        np.testing.assert_allclose(pool.reference(i)["score"], answer, atol=1e-5)
        assert not np.allclose(prepared.requests().reference(i)["score"], answer), "the base has its own"
    assert prepared.inexact == ()


def test_a_variant_may_be_called_like_a_folder_of_ours(models, prepare_here, tmp_path) -> None:
    base, other = models["mlp"](tmp_path / "a.onnx"), str(models["mlp"](tmp_path / "b.onnx"))
    names = ("requests", "holdout", "own", "compressed", "manifest.json")
    prepared = prepare_here(base, variants=dict.fromkeys(names, other))
    wanted = prepared.requests("own").reference(0)["score"]
    for name in names:
        assert np.array_equal(prepared.requests(name).reference(0)["score"], wanted)
    assert not np.allclose(prepared.requests().reference(0)["score"], wanted)


def quantised(path, models):
    """x rounded to int8 and back before it is added up."""
    nodes = [
        ("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        ("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        ("MatMul", ["d", "w"], ["score"]),
    ]
    weights = {"scale": np.array(0.05, np.float32), "zero": np.array(0, np.int8), "w": np.ones((8, 1), np.float32)}
    return models["build"](path, {"x": (TensorProto.FLOAT, ["n", 8])}, {"score": ["n", 1]}, nodes, weights)


def halved(path, models):
    nodes = [
        ("Cast", ["x"], ["h"], {"to": TensorProto.FLOAT16}),
        ("MatMul", ["h", "w"], ["s"]),
        ("Cast", ["s"], ["score"], {"to": TensorProto.FLOAT}),
    ]
    weights = {"w": np.ones((8, 1), np.float16)}
    return models["build"](path, {"x": (TensorProto.FLOAT, ["n", 8])}, {"score": ["n", 1]}, nodes, weights)


def quantised_in_a_branch(path, models):
    branch = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("s", TensorProto.FLOAT, [])],
    )
    nodes = [
        ("If", ["yes"], ["scale"], {"then_branch": branch, "else_branch": branch}),
        ("MatMul", ["x", "w"], ["m"]),
        ("Mul", ["m", "scale"], ["score"]),
    ]
    weights = {"yes": np.array(True), "w": np.ones((8, 1), np.float32)}
    return models["build"](path, {"x": (TensorProto.FLOAT, ["n", 8])}, {"score": ["n", 1]}, nodes, weights)


@pytest.mark.parametrize("write", [quantised, halved, quantised_in_a_branch])
def test_files_that_round_inside_are_told_apart(models, prepare_here, tmp_path, write) -> None:
    base, other = models["mlp"](tmp_path / "a.onnx"), write(tmp_path / "b.onnx", models)
    prepared = prepare_here(base, variants={"exact": str(base), "rounded": str(other)})
    assert prepared.inexact == ("rounded",)


EXPORT = """
import torch
from torch.export import Dim, export, save
class Sum(torch.nn.Module):
    def __init__(self, half=False):
        super().__init__()
        self.half_, self.layer = half, torch.nn.Linear(8, 1)
    def forward(self, x):
        return self.layer(x.half().float() if self.half_ else x)
class Two(torch.nn.Module):
    def forward(self, ids, weight):
        return (ids * weight).sum(1)
n = Dim("n", min=1, max=512)
x = torch.zeros(3, 8)
save(export(Sum().eval(), (x,), dynamic_shapes=({0: n},)), "sum.pt2")
save(export(Sum(half=True).eval(), (x,), dynamic_shapes=({0: n},)), "half.pt2")
save(export(Two(), (x, x), dynamic_shapes=({0: n}, {0: n})), "two.pt2")
"""


@pytest.mark.engines
@pytest.mark.slow
def test_exported_programs_are_variants_with_answers_of_their_own(models, scenario_of, tmp_path) -> None:
    subprocess.run([sys.executable, "-c", EXPORT], cwd=tmp_path, check=True, timeout=120)
    files = {name: str(tmp_path / f"{name}.pt2") for name in ("sum", "half")}
    prepared = prepare(scenario_of(models["mlp"](tmp_path / "a.onnx"), variants=files), 1 << 16)
    assert prepared.inexact == ("half",)
    exact, base = prepared.requests("sum"), prepared.requests()
    assert exact.reference(0)["score"].shape == base.reference(0)["score"].shape == (8, 1)
    assert not np.allclose(exact.reference(0)["score"], base.reference(0)["score"])
    inputs = {"weight": (TensorProto.FLOAT, ["n", 8]), "ids": (TensorProto.FLOAT, ["n", 8])}
    nodes = [("Mul", ["weight", "ids"], ["score"])]
    swapped = models["build"](tmp_path / "two.onnx", inputs, {"score": ["n", 8]}, nodes, {})
    with pytest.raises(UserError, match=r"two.pt2: variant other takes ids, weight by place; .* order, weight, ids"):
        prepare(scenario_of(swapped, variants={"other": str(tmp_path / "two.pt2")}), 1 << 16)


def test_a_base_among_the_variants_is_the_workload(models, scenario_of, tmp_path) -> None:
    base, student = models["mlp"](tmp_path / "a.onnx"), str(models["mlp"](tmp_path / "b.onnx"))
    one = spec_of(scenario_of(None, variants={"base": str(base), "student": student}), 1)
    assert one == spec_of(scenario_of(base, variants={"student": student}), 1)


def narrow(path, models):
    return models["mlp"](path, width=5)


def other_input(path, models):
    nodes = [("MatMul", ["features", "w"], ["score"])]
    inputs = {"features": (TensorProto.FLOAT, ["n", 8])}
    return models["build"](path, inputs, {"score": ["n", 1]}, nodes, {"w": np.ones((8, 1), np.float32)})


def other_output(path, models):
    nodes = [("MatMul", ["x", "w"], ["y"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 8])}
    return models["build"](path, inputs, {"y": ["n", 1]}, nodes, {"w": np.ones((8, 1), np.float32)})


def cut_short(path, models):
    models["mlp"](path).write_bytes(path.read_bytes()[:50])
    return path


def of_two_columns(path, models):
    nodes = [("MatMul", ["x", "w"], ["score"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 8])}
    return models["build"](path, inputs, {"score": ["n", 2]}, nodes, {"w": np.ones((8, 2), np.float32)})


def of_unknown_operations(path, models):
    inputs = {"x": (TensorProto.FLOAT, ["n", 8])}
    return models["build"](path, inputs, {"score": ["n", 1]}, [("Frobnicate", ["x"], ["score"])], {})


def not_free_after_all(path, models):
    nodes = [("Reshape", ["x", "shape"], ["score"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 8])}
    return models["build"](path, inputs, {"score": [8, 1]}, nodes, {"shape": np.array([8, 1], np.int64)})


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (of_two_columns, r"variant student gives score as \[8, 2\], the base as \[8, 1\]"),
        (of_unknown_operations, "variant student cannot be loaded: .*Frobnicate"),
        (not_free_after_all, "variant student does not run with the requests: "),
        (narrow, r"variant student takes x as float32 \[items, 5\], the base as float32 \[\?, 8\]"),
        (other_input, "variant student takes features, the base takes x"),
        (other_output, "variant student gives y, the base gives score"),
        (cut_short, "no ONNX model, or a truncated one"),
    ],
)
def test_a_variant_of_another_signature_is_refused(models, prepare_here, tmp_path, write, says) -> None:
    base, student = models["mlp"](tmp_path / "a.onnx"), write(tmp_path / "b.onnx", models)
    with pytest.raises(UserError, match=says) as caught:
        prepare_here(base, variants={"student": str(student)})
    assert "b.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)
