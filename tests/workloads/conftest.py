"""Small ONNX models of the kinds that people bring, and a way to prepare one without a child process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bakeoff.scenario import from_dict
from bakeoff.workloads import from_onnx, preparing
from bakeoff.workloads.assembling import assemble
from bakeoff.workloads.prepared import Prepared

F, I64, I32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32
RNG = np.random.default_rng(3)


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(0, 0.3, shape).astype(np.float32)


def build(
    path: Path,
    inputs: dict[str, tuple[int, list]],
    outputs: dict[str, list],
    nodes: list[tuple],
    weights: dict[str, np.ndarray],
    external: bool = False,
) -> Path:
    """Write a model; a node is (operation, inputs, outputs, attributes)."""
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **(more[0] if more else {})) for op, ins, outs, *more in nodes],
        "own",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, F, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external:
        onnx.save(
            model, path, save_as_external_data=True, location=path.name + ".data", size_threshold=0
        )  # fmt: skip
    else:
        onnx.save(model, path)
    return path


def mlp(path: Path, width: int = 8, items: Any = "items", **options: Any) -> Path:
    return build(
        path,
        {"x": (F, [items, width])},
        {"score": [items, 1]},
        [("Gemm", ["x", "w1", "b1"], ["h"]), ("Relu", ["h"], ["r"]), ("MatMul", ["r", "w2"], ["score"])],
        {"w1": weight(width, 16), "b1": weight(16), "w2": weight(16, 1)},
        **options,
    )


def embedding(path: Path, tables: tuple[int, ...] = (5, 1000, 30)) -> Path:
    """int32 ids [items, 3], a column for each table, cast and picked apart."""
    nodes: list[tuple] = [("Cast", ["ids"], ["ids64"], {"to": I64})]
    for i in range(len(tables)):
        nodes += [
            ("Gather", ["ids64", f"at{i}"], [f"id{i}"], {"axis": 1}),
            ("Gather", [f"table{i}", f"id{i}"], [f"e{i}"]),
        ]
    names = [f"e{i}" for i in range(len(tables))]
    nodes += [("Concat", names, ["all"], {"axis": 1}), ("MatMul", ["all", "w"], ["score"])]
    weights = {f"table{i}": weight(rows, 4) for i, rows in enumerate(tables)}
    weights |= {f"at{i}": np.array(i, np.int64) for i in range(len(tables))}
    weights["w"] = weight(4 * len(tables), 1)
    return build(path, {"ids": (I32, ["items", len(tables)])}, {"score": ["items", 1]}, nodes, weights)


def history(path: Path) -> Path:
    """Two free axes: ids [batch, seq] through a table, a mask, a dense input of the same seq; two outputs."""
    return build(
        path,
        {"history": (I64, ["batch", "seq"]), "history_mask": (F, ["batch", "seq"]), "age": (F, ["batch", 1])},
        {"vector": ["batch", 4], "score": ["batch", 1]},
        [
            ("Gather", ["table", "history"], ["e"]),
            ("Unsqueeze", ["history_mask", "last"], ["m"]),
            ("Mul", ["e", "m"], ["masked"]),
            ("ReduceMean", ["masked"], ["mean"], {"axes": [1], "keepdims": 0}),
            ("Add", ["mean", "age"], ["vector"]),
            ("MatMul", ["vector", "w"], ["score"]),
        ],
        {"table": weight(70, 4), "last": np.array([2], np.int64), "w": weight(4, 1)},
    )


def image(path: Path) -> Path:
    return build(
        path,
        {"image": (F, ["n", 3, "height", "width"])},
        {"class": ["n", 5]},
        [
            ("Conv", ["image", "k"], ["c"], {"strides": [8, 8]}),
            ("GlobalAveragePool", ["c"], ["p"]),
            ("Flatten", ["p"], ["f"]),
            ("MatMul", ["f", "w"], ["class"]),
        ],
        {"k": weight(4, 3, 3, 3), "w": weight(4, 5)},
    )


def user_and_items(path: Path) -> Path:
    """One user's row, a scalar, and N items; the inputs' first axes differ."""
    return build(
        path,
        {"user": (F, [1, 6]), "scale": (F, []), "docs": (F, ["docs", 6])},
        {"score": ["docs", 1]},
        [
            ("Transpose", ["user"], ["u"]),
            ("MatMul", ["docs", "u"], ["s"]),
            ("Mul", ["s", "scale"], ["score"]),
        ],
        {},
    )


@pytest.fixture
def scenario_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A scenario about a model, with a cache of the test's own."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))

    def scenario(workload: Path | str | None, batch_size: Any = 8, **more: Any) -> Any:
        about = {} if workload is None else {"workload": str(workload)}
        traffic = {"kind": "single_stream", "batch_size": batch_size}
        return from_dict({"name": "test", "traffic": traffic, **about, **more}, label="test")

    return scenario


@pytest.fixture
def prepare_here(scenario_of: Callable[..., Any]) -> Callable[..., Prepared]:
    """Prepare an ONNX file in this process."""

    def prepare(workload: Path | None, **more: Any) -> Prepared:
        spec = preparing.spec_of(scenario_of(workload, **more), 1 << 16)
        spec.into.mkdir(parents=True)
        assemble(from_onnx.source_of(spec), spec, lambda _: None)
        return Prepared.read(spec.into)

    return prepare


@pytest.fixture
def models() -> Any:
    """The makers of models, by name."""
    return {
        "mlp": mlp,
        "embedding": embedding,
        "history": history,
        "image": image,
        "user_and_items": user_and_items,
        "build": build,
    }
