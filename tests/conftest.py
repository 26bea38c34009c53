"""What tests of several packages share: a tiny real ranking model as a prepared workload, made without torch."""

import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper
from postgres import postgres_place, postgres_url  # noqa: F401

from bakeoff.backends import Tensor, has_vnni
from bakeoff.cli import main
from bakeoff.workloads.prepared import Prepared
from bakeoff.workloads.writing import write_holdout, write_manifest, write_references, write_requests

settings.register_profile("bakeoff", deadline=None)
settings.load_profile("bakeoff")

IN_CI = bool(os.environ.get("CI"))
"""Asked before any engine is imported: OpenVINO's telemetry is off where CI is set, and our plugin sets it for that."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes a CPU that multiplies bytes is no test of another: nothing that could be installed is missing."""
    if not has_vnni():
        of_others = [item for item in items if item.get_closest_marker("vnni")]
        config.hook.pytest_deselected(items=of_others)
        items[:] = [item for item in items if item not in of_others]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A component that is missing may skip a test on a user's machine; in CI that is a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and IN_CI:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `bakeoff WORDS` prints in this process, or its complaint where it ends badly."""

    def run(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["bakeoff", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


@pytest.fixture(autouse=True)
def _usual_floats() -> Iterator[None]:
    """Training rounds subnormal numbers to 0 in its process, which would go on into other tests."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


Array = np.ndarray[Any, Any]

TINY_INPUTS = (Tensor("dense", "float32", (None, 8)), Tensor("ids", "int64", (None, 2)))
TINY_TABLE_ROWS = 50


def tiny_weights() -> dict[str, Array]:
    """An embedding table of 50 x 4 and an MLP 16 -> 16 -> 1."""
    rng = np.random.default_rng(7)
    shapes = {"table": (TINY_TABLE_ROWS, 4), "w1": (16, 16), "b1": (16,), "w2": (16, 1), "b2": (1,)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def tiny_onnx() -> onnx.ModelProto:
    """score = sigmoid(MLP([dense, embedding(ids)])), for any number of items."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["embedded"]),
        helper.make_node("Flatten", ["embedded"], ["flat"]),
        helper.make_node("Concat", ["dense", "flat"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("Squeeze", ["probability", "last"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["items", 8]),
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["items", 2]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["items"])],
        [numpy_helper.from_array(array, name) for name, array in tiny_weights().items()]
        + [numpy_helper.from_array(np.array([1], np.int64), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def tiny_scores(arrays: dict[str, Array]) -> Array:
    """What the tiny model answers, in numpy: float32 [rows]."""
    w = tiny_weights()
    features = np.concatenate([arrays["dense"], w["table"][arrays["ids"]].reshape(len(arrays["ids"]), 8)], axis=1)
    logit = np.maximum(features @ w["w1"] + w["b1"], 0) @ w["w2"] + w["b2"]
    scores: Array = (1 / (1 + np.exp(-logit[:, 0]))).astype(np.float32)
    return scores


def make_tiny(folder: Path, requests: int = 200, references: int = 32, held_out: int = 2000) -> Prepared:
    """A prepared folder around the tiny model: requests of 4 and 8 items in turn, a holdout labelled by its scores."""
    rng = np.random.default_rng(11)

    def rows(count: int) -> dict[str, Array]:
        return {
            "dense": rng.normal(size=(count, 8)).astype(np.float32),
            "ids": rng.integers(0, TINY_TABLE_ROWS, (count, 2)),
        }

    (folder / "base").mkdir(parents=True)
    onnx.save(tiny_onnx(), folder / "base" / "model.onnx")
    items = np.resize([4, 8], requests)
    pool = rows(int(items.sum()))
    write_requests(folder / "requests", TINY_INPUTS, pool, items)
    pieces = np.split(tiny_scores(pool), np.cumsum(items)[:-1])
    write_references(folder / "requests", ["score"], [{"score": piece} for piece in pieces[:references]])
    held = rows(held_out)
    scores = tiny_scores(held)
    columns = {
        "labels": (rng.random(held_out) < scores).astype(np.float32),
        "groups": np.arange(held_out, dtype=np.int64) // 20,
    }
    write_holdout(folder / "holdout", TINY_INPUTS, held, np.full(held_out // 100, 100), scores, columns)
    prepared = Prepared(
        folder=folder,
        key="tiny",
        name="tiny",
        data="real",
        licence="CC0",
        citation="made for the tests",
        inputs=TINY_INPUTS,
        outputs=("score",),
        variants={"base": {"onnx": folder / "base" / "model.onnx"}},
        metrics=("auc", "logloss", "ndcg@10"),
        judged="score",
        kind="rows",
        facts={"rows": held_out},
    )
    write_manifest(prepared)
    return Prepared.read(folder)


@pytest.fixture(scope="session")
def tiny_prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A small prepared workload that every engine which takes ONNX can run; do not write into its folder."""
    return make_tiny(tmp_path_factory.mktemp("tiny") / "prepared")


@pytest.fixture(scope="session")
def tiny_score() -> Callable[[dict[str, Array]], Array]:
    """The tiny model as a function, for servers to serve."""
    return tiny_scores


@pytest.fixture(scope="session")
def pinned_project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project whose model's engine is pinned; see nightly_shop.Shop."""
    from nightly_shop import Shop

    shop = Shop(tmp_path_factory.mktemp("shop"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        shop.make(monkeypatch)
    return shop


@pytest.fixture
def shop(pinned_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pinned project as it was pinned, with a store of the test's own, short sessions, and the folder in it."""
    pinned_project.write()
    pinned_project.store = tmp_path / "b.db"
    monkeypatch.chdir(pinned_project.folder)
    monkeypatch.setenv("BAKEOFF_CACHE", str(pinned_project.cache))
    monkeypatch.setenv("BAKEOFF_STORE", str(pinned_project.store))
    monkeypatch.setattr("bakeoff.nightly.session.BLOCKS", 8)
    return pinned_project
