import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from bakeoff.errors import UserError
from bakeoff.metrics import FIDELITY
from bakeoff.workloads import prepare
from bakeoff.workloads.prepared import Prepared


def shapes(arrays):
    return {name: array.shape for name, array in arrays.items()}


def assert_references_are_right(prepared: Prepared) -> None:
    session = onnxruntime.InferenceSession(str(prepared.variants["base"]["onnx"]))
    pool = prepared.requests()
    assert pool.references >= min(pool.count, 8)
    for i in range(pool.references):
        answers = session.run(list(prepared.outputs), pool.get(i))
        for name, answer in zip(prepared.outputs, answers, strict=True):
            np.testing.assert_allclose(pool.reference(i)[name], answer, atol=1e-5)


def test_a_ranker_gets_generated_requests_and_fidelity_metrics(models, prepare_here, tmp_path) -> None:
    prepared = prepare_here(models["mlp"](tmp_path / "ranker.onnx"))
    assert prepared.name == "ranker"
    assert prepared.data == "generated"
    assert prepared.provisional
    assert prepared.metrics == (*FIDELITY, "top10_changed")
    assert prepared.judged == "score"
    assert prepared.model().batch_sizes == (8,)
    assert shapes(prepared.requests().get(5)) == {"x": (8, 8)}
    assert_references_are_right(prepared)
    holdout = prepared.holdout()
    assert holdout.requests.rows == len(holdout.reference) == 2048
    assert holdout.groups is not None
    assert holdout.labels is None
    assert len(np.unique(holdout.reference)) > 2000, "there must be something to rank"


def test_sizes_of_requests_follow_the_traffic(models, prepare_here, tmp_path) -> None:
    batch_size = [{"items": 2, "weight": 3}, {"items": 5, "weight": 1}]
    prepared = prepare_here(models["mlp"](tmp_path / "m.onnx"), batch_size=batch_size)
    items = prepared.requests().items
    assert set(items.tolist()) == {2, 5}
    assert (items == 2).mean() == pytest.approx(0.75, abs=0.01)
    assert prepared.requests().input_bytes >= 1 << 16


def test_ids_stay_inside_the_table_of_their_own_column(models, prepare_here, tmp_path) -> None:
    prepared = prepare_here(models["embedding"](tmp_path / "m.onnx"))
    pool = prepared.requests()
    ids = np.concatenate([pool.get(i)["ids"] for i in range(pool.count)])
    assert ids.dtype == np.int32
    assert ids.min() == 0
    assert ids.max(axis=0).tolist()[0] == 4
    assert 500 < ids.max(axis=0)[1] < 1000
    assert 20 < ids.max(axis=0)[2] < 30
    assert_references_are_right(prepared)


def test_a_history_with_two_free_axes_and_two_outputs(models, prepare_here, tmp_path) -> None:
    prepared = prepare_here(models["history"](tmp_path / "m.onnx"))
    request = prepared.requests().get(0)
    assert shapes(request) == {"history": (8, 32), "history_mask": (8, 32), "age": (8, 1)}
    assert request["history"].max() < 70
    assert (request["history_mask"] == 1).all()
    assert prepared.outputs == ("vector", "score")
    assert prepared.judged == "score"
    assert_references_are_right(prepared)


def test_images_get_a_usual_size(models, prepare_here, tmp_path) -> None:
    prepared = prepare_here(models["image"](tmp_path / "m.onnx"), batch_size=2)
    assert shapes(prepared.requests().get(0)) == {"image": (2, 3, 224, 224)}
    assert prepared.holdout().reference.shape[1:] == (5,)
    assert_references_are_right(prepared)


def test_one_user_a_scalar_and_many_items(models, prepare_here, tmp_path) -> None:
    prepared = prepare_here(models["user_and_items"](tmp_path / "m.onnx"))
    assert [tensor.per for tensor in prepared.inputs] == ["request", "request", "item"]
    assert shapes(prepared.requests().get(3)) == {"user": (1, 6), "scale": (), "docs": (8, 6)}
    assert_references_are_right(prepared)


def test_differently_named_first_axes_are_told_apart_by_trying(models, prepare_here, tmp_path) -> None:
    nodes = [("Transpose", ["query"], ["q"]), ("MatMul", ["docs", "q"], ["score"])]
    inputs = {"docs": (TensorProto.FLOAT, ["d", 6]), "query": (TensorProto.FLOAT, ["q", 6])}
    path = models["build"](tmp_path / "m.onnx", inputs, {"score": ["d", "q"]}, nodes, {})
    prepared = prepare_here(path)
    assert shapes(prepared.requests().get(0)) == {"docs": (8, 6), "query": (1, 6)}
    assert prepared.requests().reference(0)["score"].shape == (8, 1)


def test_a_fixed_number_of_items_must_be_the_traffics(models, prepare_here, tmp_path) -> None:
    path = models["mlp"](tmp_path / "m.onnx", items=4)
    prepared = prepare_here(path, batch_size=4)
    assert prepared.inputs[0].shape == (4, 8)
    assert set(prepared.requests().items.tolist()) == set(prepared.holdout().requests.items.tolist()) == {4}
    with pytest.raises(UserError, match=r"fixes 4 items a request, so batch_size must be 4, not 8"):
        prepare_here(path, batch_size=8)


@pytest.mark.parametrize("kind", ["FLOAT16", "INT32", "INT64", "UINT8", "INT8", "BOOL", "DOUBLE"])
def test_inputs_of_any_number_type(models, prepare_here, tmp_path, kind) -> None:
    nodes = [("Cast", ["x"], ["f"], {"to": TensorProto.FLOAT}), ("MatMul", ["f", "w"], ["score"])]
    weights = {"w": np.ones((3, 1), np.float32)}
    inputs = {"x": (getattr(TensorProto, kind), [None, 3])}
    prepared = prepare_here(models["build"](tmp_path / "m.onnx", inputs, {"score": [None, 1]}, nodes, weights))
    assert prepared.inputs[0].dtype == {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind.lower())
    assert len(np.unique(prepared.holdout().requests.get(0)["x"])) > 1


def test_a_model_that_takes_logarithms_gets_positive_numbers(models, prepare_here, tmp_path) -> None:
    nodes = [("Log", ["x"], ["l"]), ("MatMul", ["l", "w"], ["score"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 3])}
    weights = {"w": np.ones((3, 1), np.float32)}
    prepared = prepare_here(models["build"](tmp_path / "m.onnx", inputs, {"score": ["n", 1]}, nodes, weights))
    assert (prepared.requests().get(0)["x"] > 0).all()
    assert np.isfinite(prepared.holdout().reference).all()


def test_outputs_that_are_no_numbers_are_left_out(models, prepare_here, tmp_path) -> None:
    path = models["mlp"](tmp_path / "m.onnx")
    model = onnx.load(str(path))
    model.graph.node.append(onnx.helper.make_node("SequenceConstruct", ["score"], ["maps"]))
    kind = onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model.graph.output.insert(0, onnx.helper.make_value_info("maps", onnx.helper.make_sequence_type_proto(kind)))
    path.write_bytes(model.SerializeToString())
    prepared = prepare_here(path)
    assert prepared.outputs == ("score",)
    assert_references_are_right(prepared)


def test_external_data_comes_along(models, scenario_of, tmp_path) -> None:
    path = models["mlp"](tmp_path / "big.onnx", external=True)
    prepared = prepare(scenario_of(path), min_pool_bytes=1 << 16)
    assert [file.name for file in (prepared.folder / "base").iterdir()] == ["model.onnx"], "one file is easier to serve"
    assert_references_are_right(prepared)
    again = prepare(scenario_of(path), min_pool_bytes=1 << 16)
    assert again.folder == prepared.folder
    (tmp_path / "big.onnx.data").write_bytes((tmp_path / "big.onnx.data").read_bytes()[::-1])
    assert preparing_key(scenario_of(path)) != prepared.key, "other weights are another model"


def test_weights_too_large_for_one_file_stay_beside_it(models, prepare_here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bakeoff.workloads.external.MOST_INLINE_BYTES", 100)
    prepared = prepare_here(models["mlp"](tmp_path / "big.onnx", external=True))
    assert sorted(file.name for file in (prepared.folder / "base").iterdir()) == ["model.onnx", "model.onnx.data"]
    assert_references_are_right(prepared)


def preparing_key(scenario) -> str:
    from bakeoff.workloads.preparing import spec_of

    return spec_of(scenario, 1 << 16).key


def test_the_same_seed_gives_the_same_bytes(models, prepare_here, tmp_path) -> None:
    path = models["history"](tmp_path / "m.onnx")
    first = prepare_here(path, seed=5)
    kept = {file.relative_to(first.folder): file.read_bytes() for file in first.folder.rglob("*.npy")}
    first.folder.rename(tmp_path / "elsewhere")
    again = prepare_here(path, seed=5)
    assert {file.relative_to(again.folder): file.read_bytes() for file in again.folder.rglob("*.npy")} == kept
    assert prepare_here(path, seed=6).key != again.key


def truncated(path, models):
    models["mlp"](path)
    path.write_bytes(path.read_bytes()[:-100])


def half(path, models):
    models["mlp"](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_its_data(path, models):
    models["mlp"](path, external=True)
    path.with_name(path.name + ".data").unlink()


def with_short_data(path, models):
    models["mlp"](path, external=True)
    data = path.with_name(path.name + ".data")
    data.write_bytes(data.read_bytes()[:100])


def with_data_elsewhere(path, models):
    models["mlp"](path, external=True)
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../secret"
    path.write_bytes(model.SerializeToString())


def without_inputs(path, models):
    models["build"](path, {}, {"score": [1]}, [("Identity", ["w"], ["score"])], {"w": np.ones(1, np.float32)})


def of_strings(path, models):
    nodes = [("StringNormalizer", ["x"], ["y"]), ("Identity", ["w"], ["score"])]
    inputs = {"x": (TensorProto.STRING, ["n"])}
    models["build"](path, inputs, {"score": [1]}, nodes, {"w": np.ones(1, np.float32)})


def of_words(path, models):
    models["build"](path, {"x": (TensorProto.FLOAT, ["n"])}, {"y": ["n"]}, [("Identity", ["x"], ["y"])], {})
    model = onnx.load(str(path))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    path.write_bytes(model.SerializeToString())


def never_finite(path, models):
    nodes = [("Div", ["x", "zero"], ["score"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 1])}
    models["build"](path, inputs, {"score": ["n", 1]}, nodes, {"zero": np.zeros(1, np.float32)})


def of_unknown_operations(path, models):
    models["build"](path, {"x": (TensorProto.FLOAT, ["n"])}, {"y": ["n"]}, [("Frobnicate", ["x"], ["y"])], {})


def not_free_after_all(path, models):
    nodes = [("Reshape", ["x", "shape"], ["score"])]
    inputs = {"x": (TensorProto.FLOAT, ["n", 2])}
    models["build"](path, inputs, {"score": [6]}, nodes, {"shape": np.array([6], np.int64)})


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path, _: path.write_bytes(b""), "is empty"),
        (lambda path, _: path.write_text("this is no model\n" * 50), "no ONNX model, or a truncated one"),
        (lambda path, _: path.write_bytes(bytes(range(256)) * 10), "no ONNX model, or a truncated one"),
        (truncated, "no ONNX model, or a truncated one"),
        (half, "no ONNX model, or a truncated one"),
        (without_its_data, r"keeps weights in bad.onnx.data, which is not beside it"),
        (with_short_data, r"cannot be loaded"),
        (with_data_elsewhere, r"keeps weights in ../secret, outside of its own folder"),
        (without_inputs, "has no inputs"),
        (of_strings, "input x holds string"),
        (of_words, "gives no tensor of numbers"),
        (never_finite, r"its answers \(score\) are not finite on generated inputs; give recorded requests"),
        (of_unknown_operations, "cannot be loaded: .*Frobnicate"),
        (not_free_after_all, "does not run with 8 items: "),
    ],
)
def test_a_bad_file_gets_one_clear_line(models, prepare_here, tmp_path, write, says) -> None:
    path = tmp_path / "bad.onnx"
    write(path, models)
    with pytest.raises(UserError, match=says) as caught:
        prepare_here(path)
    assert "\n" not in str(caught.value)
    assert "bad.onnx" in str(caught.value)
