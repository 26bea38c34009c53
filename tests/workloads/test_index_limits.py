import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bakeoff.workloads.index_limits import UNLIMITED, IndexLimits

ROWS = {"small": 7, "large": 500}


def limits(nodes: list[tuple], constants: dict | None = None, columns: int | None = 3) -> list[int] | None:
    """The limits of `ids` [n, 3] in a graph with tables of 7 and 500 rows."""
    arrays = {name: np.zeros((rows, 2), np.float32) for name, rows in ROWS.items()} | (constants or {})
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **(more[0] if more else {})) for op, ins, outs, *more in nodes],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", columns or "seq"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    found = IndexLimits(helper.make_model(graph)).of("ids", columns)
    return None if found is None else found.tolist()


def test_the_smallest_table_on_any_way_counts() -> None:
    nodes = [
        ("Gather", ["large", "ids"], ["a"]),
        ("Cast", ["ids"], ["c"], {"to": 6}),
        ("Gather", ["small", "c"], ["b"]),
    ]
    assert limits(nodes) == [7, 7, 7]
    assert limits(nodes[:1]) == [500, 500, 500]
    assert limits(nodes, columns=None) == [7]


def test_what_indexes_nothing_has_no_limit() -> None:
    assert limits([("Cast", ["ids"], ["out"], {"to": 1})]) is None
    assert limits([("Mod", ["ids", "k"], ["m"]), ("Gather", ["small", "m"], ["out"])], {"k": np.array(7)}) is None


@pytest.mark.parametrize("kind", ["Gather", "Slice", "Split", "Split by lengths"])
def test_columns_taken_apart_have_limits_of_their_own(kind) -> None:
    constants = {"zero": np.array([0]), "one": np.array([1]), "three": np.array([3]), "lengths": np.array([1, 2])}
    first_and_rest = {
        "Gather": [
            ("Gather", ["ids", "zero"], ["first"], {"axis": 1}),
            ("Gather", ["ids", "rest_of"], ["rest"], {"axis": -1}),
        ],
        "Slice": [
            ("Slice", ["ids", "zero", "one", "one"], ["first"]),
            ("Slice", ["ids", "one", "three", "one", "one"], ["rest"]),
        ],
        "Split": [("Split", ["ids"], ["first", "second", "rest"], {"axis": 1})],
        "Split by lengths": [("Split", ["ids", "lengths"], ["first", "rest"], {"axis": 1})],
    }[kind]
    nodes = [*first_and_rest, ("Squeeze", ["first"], ["f"]), ("Gather", ["small", "f"], ["a"])]
    nodes += [("Gather", ["large", "rest"], ["b"])]
    wanted = [7, UNLIMITED, 500] if kind == "Split" else [7, 500, 500]
    assert limits(nodes, constants | {"rest_of": np.array([1, 2])}) == wanted


def test_a_slice_of_rows_leaves_columns_where_they_are() -> None:
    nodes = [("Slice", ["ids", "zero", "one", "zero"], ["s"]), ("Gather", ["s", "one"], ["g"], {"axis": 1})]
    nodes += [("Gather", ["small", "g"], ["out"])]
    assert limits(nodes, {"zero": np.array([0]), "one": np.array([1])}) == [UNLIMITED, 7, UNLIMITED]


def test_after_a_reshape_any_column_may_be_anywhere() -> None:
    nodes = [("Reshape", ["ids", "flat"], ["r"]), ("Gather", ["r", "zero"], ["g"], {"axis": 0})]
    nodes += [("Gather", ["small", "g"], ["out"])]
    assert limits(nodes, {"flat": np.array([-1]), "zero": np.array(0)}) == [7, 7, 7]


def test_offsets_into_one_table_are_taken_off() -> None:
    nodes = [("Add", ["ids", "offsets"], ["shifted"]), ("Gather", ["large", "shifted"], ["out"])]
    assert limits(nodes, {"offsets": np.array([0, 100, 400])}) == [500, 400, 100]
    assert limits(nodes, {"offsets": np.array([40])}) == [460, 460, 460]
    assert limits([("Add", ["ids", "ids"], ["s"]), ("Gather", ["large", "s"], ["out"])]) == [500, 500, 500]


def test_other_operations_that_look_up() -> None:
    assert limits([("OneHot", ["ids", "depth", "values"], ["out"])], {"depth": np.array(9)}) == [9, 9, 9]
    assert limits([("OneHot", ["ids", "unknown", "values"], ["out"])]) is None
    assert limits([("GatherElements", ["large", "ids"], ["out"], {"axis": 1})]) == [2, 2, 2]
    embed = ("EmbedLayerNormalization", ["ids", "ids", "large", "large", "small"], ["out"], {"domain": "com.microsoft"})
    assert limits([embed]) == [7, 7, 7]


def test_a_table_made_by_another_node_has_its_inferred_rows() -> None:
    nodes = [("Identity", ["small"], ["table"]), ("Gather", ["table", "ids"], ["out"])]
    assert limits(nodes) == [7, 7, 7]
    constant = helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(np.zeros((4, 2), np.float32)))
    graph = helper.make_graph(
        [constant, helper.make_node("Gather", ["t", "ids"], ["out"])],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    assert IndexLimits(helper.make_model(graph)).of("ids", None).tolist() == [4]


def test_graphs_inside_nodes_and_functions_are_walked_too() -> None:
    inner = helper.make_graph([helper.make_node("Gather", ["small", "ids"], ["o"])], "i", [],
                              [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])  # fmt: skip
    nodes = [("If", ["yes"], ["out"], {"then_branch": inner, "else_branch": inner})]
    assert limits(nodes, {"yes": np.array(True)}) == [7, 7, 7]

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    body = helper.make_function(
        "own", "Look", ["t", "i"], ["o"], [helper.make_node("Gather", ["t", "i"], ["o"])], opsets
    )
    graph = helper.make_graph(
        [helper.make_node("Look", ["small", "ids"], ["out"], domain="own")],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.zeros((7, 2), np.float32), "small")],
    )
    model = helper.make_model(graph, opset_imports=opsets, functions=[body])
    assert isinstance(model, onnx.ModelProto)
    assert IndexLimits(model).of("ids", None).tolist() == [7]
