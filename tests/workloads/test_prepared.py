import resource

import numpy as np
import onnx.reference
import pytest

from bakeoff.backends import Tensor
from bakeoff.workloads.prepared import Prepared, Requests
from bakeoff.workloads.writing import write_references, write_requests


def test_references_are_the_models_answers(tiny_prepared: Prepared) -> None:
    pool = tiny_prepared.requests()
    evaluator = onnx.reference.ReferenceEvaluator(str(tiny_prepared.variants["base"]["onnx"]))
    for i in range(pool.references):
        (answer,) = evaluator.run(None, pool.get(i))
        np.testing.assert_allclose(answer, pool.reference(i)["score"], atol=1e-6)


def test_requests_are_writable_contiguous_views_of_their_own(tiny_prepared: Prepared) -> None:
    pool = tiny_prepared.requests()
    assert pool.items.tolist()[:4] == [4, 8, 4, 8]
    assert pool.rows == pool.offsets[-1] == pool.items.sum()
    assert pool.input_bytes == pool.rows * (8 * 4 + 2 * 8)
    first = pool.get(1)
    assert {name: array.shape for name, array in first.items()} == {"dense": (8, 8), "ids": (8, 2)}
    assert all(array.flags.c_contiguous and array.flags.writeable for array in first.values())
    assert not np.array_equal(first["dense"], pool.get(3)["dense"])
    first["dense"][:] = 0
    assert tiny_prepared.requests().get(1)["dense"].any(), "a write must not reach the file"


def test_model_takes_samples_and_batch_sizes_along(tiny_prepared: Prepared) -> None:
    model = tiny_prepared.model()
    assert model.batch_sizes == (4, 8)
    assert len(model.samples) == 64
    assert model.file("onnx").is_file()


def test_holdout_has_labels_and_groups(tiny_prepared: Prepared) -> None:
    holdout = tiny_prepared.holdout()
    assert holdout.kind == "rows"
    assert holdout.labels is not None
    assert holdout.groups is not None
    assert len(holdout.labels) == len(holdout.groups) == len(holdout.reference) == holdout.requests.rows
    assert set(holdout.labels.tolist()) == {0.0, 1.0}
    assert holdout.queries is None
    assert holdout.requests.references == 0
    assert not tiny_prepared.provisional


def test_request_inputs_scalars_and_outputs_of_unlike_shapes(tmp_path) -> None:
    inputs = (
        Tensor("item", "float32", (None, 2)),
        Tensor("user", "float32", (1, 3), per="request"),
        Tensor("table", "float32", (4,), per="request"),
        Tensor("scale", "float32", (), per="request"),
    )
    arrays = {
        "item": np.arange(6, dtype=np.float32).reshape(3, 2),
        "user": np.arange(6, dtype=np.float32).reshape(2, 3),
        "table": np.arange(8, dtype=np.float32),
        "scale": np.array([2, 3], np.float32),
    }
    write_requests(tmp_path, inputs, arrays, [1, 2])
    answers = [{"a": np.zeros((1, 5)), "b": np.float32(7)}, {"a": np.ones((2, 3)), "b": np.float32(8)}]
    write_references(tmp_path, ["a", "b"], answers)
    pool = Requests(tmp_path, inputs, ("a", "b"))
    assert {name: array.shape for name, array in pool.get(1).items()} == {
        "item": (2, 2),
        "user": (1, 3),
        "table": (4,),
        "scale": (),
    }
    assert pool.get(1)["table"].tolist() == [4, 5, 6, 7]
    assert float(pool.get(1)["scale"]) == 3
    assert pool.references == 2
    assert pool.reference(1)["a"].shape == (2, 3)
    assert pool.reference(1)["b"].shape == ()


def test_what_was_touched_is_mapped_by_then(tmp_path) -> None:
    mib, inputs = 64, (Tensor("item", "float32", (None, 64)),)
    rows = mib * 2**20 // 256
    write_requests(tmp_path, inputs, {"item": np.zeros((rows, 64), np.float32)}, [1] * rows)

    def faults(pool: Requests) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for index in range(0, rows, 16):
            assert not pool.get(index)["item"][0, 0]
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    touched = Requests(tmp_path, inputs, ())
    touched.touch()
    assert 10 * faults(touched) < faults(Requests(tmp_path, inputs, ()))


def test_a_folder_of_another_format_is_refused(tmp_path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="format 1"):
        Prepared.read(tmp_path)
