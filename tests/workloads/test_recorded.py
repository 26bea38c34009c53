import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto

from bakeoff.decide.quality import evaluate
from bakeoff.errors import UserError
from bakeoff.metrics import FIDELITY
from bakeoff.workloads import recorded

RNG = np.random.default_rng(1)
ROWS = 120


@pytest.fixture
def model(models, tmp_path):
    return models["user_and_items"](tmp_path / "ranker.onnx")


@pytest.fixture
def columns():
    """Twelve requests of ten items in turn, so that a request's rows do not lie together."""
    request = np.arange(ROWS) % 12
    return {
        "docs": RNG.normal(size=(ROWS, 6)).astype(np.float32),
        "user": RNG.normal(size=(12, 6)).astype(np.float32)[request],
        "scale": np.ones(12, np.float32)[request],
        "clicked": (np.arange(ROWS) % 5 == 0).astype(np.int64),
        "request": request,
    }


def save_parquet(path, columns):
    pd.DataFrame({name: list(array) for name, array in columns.items()}).to_parquet(path)
    return path


def save_npz(path, columns):
    np.savez(path, **columns)
    return path


@pytest.mark.parametrize(("suffix", "save"), [("parquet", save_parquet), ("npz", save_npz)])
def test_recorded_requests_are_replayed_and_judged_by_their_labels(
    model, columns, prepare_here, tmp_path, suffix, save
) -> None:
    file = save(tmp_path / f"requests.{suffix}", columns)
    prepared = prepare_here(model, requests={"file": str(file), "label": "clicked", "group": "request"})
    assert prepared.data == "recorded"
    assert not prepared.provisional
    assert prepared.metrics == ("auc", "logloss", "normalized_entropy", "ndcg@10", "top10_changed")
    held = prepared.holdout()
    for quality in evaluate(held, held.reference, prepared.metrics[:-1]):
        assert prepared.facts[f"base_{quality.metric}"] == pytest.approx(quality.value, abs=1e-5)
    assert "base_top10_changed" not in prepared.facts
    pool = prepared.requests()
    assert set(pool.items.tolist()) == {10}
    assert pool.input_bytes >= 1 << 16
    held = prepared.holdout()
    assert held.requests.count == 12
    for i in range(12):
        request = held.requests.get(i)
        mine = columns["request"] == i
        np.testing.assert_array_equal(request["docs"], columns["docs"][mine])
        np.testing.assert_array_equal(request["user"], columns["user"][mine][:1])
        assert request["scale"].shape == ()
        np.testing.assert_array_equal(held.labels[held.groups == i], columns["clicked"][mine])
        expected = columns["docs"][mine] @ columns["user"][mine][0]
        np.testing.assert_allclose(held.reference[held.groups == i][:, 0], expected, atol=1e-5)
    recorded = {tuple(held.requests.get(i)["docs"].ravel()) for i in range(12)}
    assert {tuple(pool.get(i)["docs"].ravel()) for i in range(pool.count)} == recorded


def test_without_groups_the_traffic_says_how_large_a_request_is(models, columns, prepare_here, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx", width=6)
    file = save_npz(tmp_path / "r.npz", {"x": columns["docs"], "clicked": columns["clicked"]})
    prepared = prepare_here(model, batch_size=40, requests={"file": str(file), "label": "clicked"})
    assert prepared.metrics == ("auc", "logloss", "normalized_entropy")
    assert prepared.holdout().requests.items.tolist() == [40, 40, 40]
    assert prepared.holdout().groups is None


def test_without_labels_the_model_is_judged_against_itself(models, columns, prepare_here, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx", width=6)
    file = save_npz(tmp_path / "r.npz", {"x": columns["docs"].astype(np.float64)})
    prepared = prepare_here(model, requests=str(file))
    assert prepared.metrics == FIDELITY
    assert not prepared.provisional
    assert prepared.holdout().requests.get(0)["x"].dtype == np.float32


def test_graded_labels_are_judged_by_ndcg(models, columns, prepare_here, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx", width=6)
    grades = np.arange(ROWS) % 4
    file = save_npz(tmp_path / "r.npz", {"x": columns["docs"], "grade": grades, "q": columns["request"].astype(str)})
    prepared = prepare_here(model, requests={"file": str(file), "label": "grade", "group": "q"})
    assert prepared.metrics == ("ndcg@10", "top10_changed")
    with pytest.raises(UserError, match=r"labels other than 0 and 1 need requests\.group"):
        prepare_here(model, requests={"file": str(file), "label": "grade"})


def test_long_lists_are_judged_by_recall_too(models, prepare_here, tmp_path) -> None:
    model = models["mlp"](tmp_path / "m.onnx", width=6)
    rng = np.random.default_rng(8)
    columns = {"x": rng.normal(size=(180, 6)), "clicked": rng.random(180) < 0.2, "q": np.repeat([0, 1, 2], 60)}
    file = save_npz(tmp_path / "r.npz", columns)
    prepared = prepare_here(model, batch_size=60, requests={"file": str(file), "label": "clicked", "group": "q"})
    assert prepared.metrics[-3:] == ("ndcg@10", "recall@50", "top10_changed")


def test_integers_of_another_width_are_taken_when_they_fit(models, prepare_here, tmp_path) -> None:
    model = models["embedding"](tmp_path / "m.onnx")
    ids = np.stack([np.arange(ROWS) % 5, np.arange(ROWS), np.arange(ROWS) % 30], axis=1)
    prepared = prepare_here(model, requests=str(save_parquet(tmp_path / "r.parquet", {"ids": ids})))
    assert prepared.holdout().requests.get(0)["ids"].dtype == np.int32
    file = save_parquet(tmp_path / "big.parquet", {"ids": ids + (1 << 40)})
    with pytest.raises(UserError, match="column ids has values that do not fit the model's int32"):
        prepare_here(model, requests=str(file))


BAD = {
    "a missing column": ({"docs": None}, "has no column docs for the model's input; it has user, scale"),
    "a missing label": ({"clicked": None}, r"has no column clicked for requests.label"),
    "text": ({"docs": np.array(["a"] * ROWS)}, "column docs holds .*, the model's input takes float32"),
    "another width": (
        {"docs": np.ones((ROWS, 5), np.float32)},
        r"column docs has rows of shape \[5\], the model's input takes \[6\]",
    ),
    "not finite": ({"docs": np.full((ROWS, 6), np.nan)}, "column docs has values that are not finite"),
    "one label": ({"clicked": np.zeros(ROWS)}, "every label is 0"),
    "labels of text": ({"clicked": np.array(["no"] * ROWS)}, "column clicked must hold one number a row"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD)
def test_columns_that_do_not_fit_get_one_clear_line(model, columns, prepare_here, tmp_path, change, says) -> None:
    columns = {name: array for name, array in (columns | change).items() if array is not None}
    file = save_parquet(tmp_path / "requests.parquet", columns)
    with pytest.raises(UserError, match=says) as caught:
        prepare_here(model, requests={"file": str(file), "label": "clicked", "group": "request"})
    assert "requests.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def ragged(path):
    pd.DataFrame({"x": [[1.0, 2.0], [1.0]]}).to_parquet(path)


def with_gaps(path):
    pd.DataFrame({"x": [1.0, None]}).to_parquet(path)


def with_pickles(path):
    np.savez(path, x=np.array([{"a": 1}], dtype=object))


BAD_FILES = [
    ("r.parquet", lambda path: path.write_bytes(b"PAR1 not really"), "is no Parquet file"),
    ("r.npz", lambda path: path.write_bytes(b"PK not really"), "is no .npz file"),
    ("r.npz", with_pickles, "is no .npz file of plain arrays"),
    ("r.npz", lambda path: np.savez(path), "has no columns"),
    ("r.npz", lambda path: np.savez(path, x=np.float32(1)), "array x is a single number"),
    ("r.npz", lambda path: np.savez(path, x=np.empty((0, 6), np.float32)), "has no rows"),
    ("r.npz", lambda path: np.savez(path, x=np.ones((3, 6), np.float32)), "too few for one request"),
    ("r.parquet", ragged, "column x has lists of unlike lengths"),
    ("r.parquet", with_gaps, "column x has 1 empty values"),
]


@pytest.mark.parametrize(("name", "write", "says"), BAD_FILES)
def test_a_bad_file_gets_one_clear_line(models, prepare_here, tmp_path, name, write, says) -> None:
    write(tmp_path / name)
    with pytest.raises(UserError, match=says) as caught:
        prepare_here(models["mlp"](tmp_path / "m.onnx", width=6), requests=str(tmp_path / name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_rows_that_are_judged_need_both_labels(model, columns, prepare_here, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recorded, "MOST_HELD_OUT_ROWS", 60)
    columns["clicked"] = (columns["request"] >= 6).astype(np.int64)
    requests = {"file": str(save_npz(tmp_path / "r.npz", columns)), "label": "clicked", "group": "request"}
    with pytest.raises(UserError, match=r"r\.npz: every label is 0 in the first 60 rows, which are judged"):
        prepare_here(model, requests=requests)


def test_a_model_that_runs_on_no_made_up_input_runs_on_recorded_ones(models, columns, prepare_here, tmp_path) -> None:
    inputs = {"x": (TensorProto.FLOAT, ["n", "width"])}
    nodes = [("MatMul", ["x", "w"], ["score"])]
    model = models["build"](tmp_path / "m.onnx", inputs, {"score": ["n", 1]}, nodes, {"w": np.ones((6, 1), np.float32)})
    with pytest.raises(UserError, match="does not run with 8 items"):
        prepare_here(model)
    file = save_npz(tmp_path / "r.npz", {"x": columns["docs"]})
    assert prepare_here(model, requests=str(file)).data == "recorded"


def test_ids_outside_the_table_are_found_at_once(models, prepare_here, tmp_path) -> None:
    file = save_npz(tmp_path / "r.npz", {"ids": np.full((ROWS, 3), 999)})
    with pytest.raises(UserError, match=r"m\.onnx: does not run with .*r\.npz"):
        prepare_here(models["embedding"](tmp_path / "m.onnx"), requests=str(file))
