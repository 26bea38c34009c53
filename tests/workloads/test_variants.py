import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from bakeoff.errors import UserError
from bakeoff.workloads.preparing import spec_of


def test_several_files_of_one_signature_are_variants(models, prepare_here, tmp_path) -> None:
    base, student = models["mlp"](tmp_path / "a.onnx"), models["mlp"](tmp_path / "b.onnx", external=True)
    prepared = prepare_here(None, variants={"base": str(base), "student": str(student)})
    assert prepared.variants.keys() == {"base", "student"}
    assert prepared.model("student").file("onnx").is_file()
    session = onnxruntime.InferenceSession(str(prepared.model("student").file("onnx")))
    answer = session.run(None, prepared.requests().get(0))
    assert not np.allclose(answer[0], prepared.requests().reference(0)["score"])


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


@pytest.mark.parametrize(
    ("write", "says"),
    [
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
