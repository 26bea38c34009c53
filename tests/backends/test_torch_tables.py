"""Embedding tables set apart from the dense part: which ones, what goes with them, and that the answers stay the same.

A CPU stands in for the GPUs; the packing for a copy between unlike devices is tried by itself.
"""

import numpy as np
import pytest
import table_models
import torch

from bakeoff.backends import Unsupported
from bakeoff_backends import torch_cuda, torch_graph, torch_tables
from bakeoff_backends.torch_split import SplitRunner, pack, unpack


@pytest.fixture(scope="module")
def ranker():
    return table_models.Ranker()


def constants(part):
    return {str(node.target) for node in part.module.graph.nodes if node.op == "get_attr"}


def test_tables_read_by_ids_alone_go_with_what_computes_their_ids(ranker):
    pieces = torch_tables.take_apart(table_models.exported(ranker), 1)
    (part,) = pieces.lookups
    tables = {"tables.0.weight", "tables.1.weight", "tables.2.weight", "bag.weight", "codes", "scales"}
    assert constants(part) == tables
    assert part.inputs == (1,)
    assert "aten.remainder.Scalar" in {str(node.target) for node in part.module.graph.nodes}
    held = {name for name in constants(pieces.dense) if not name.startswith("lifted")}
    assert held == {"positions.weight", "tied.weight", "head.weight", "head.bias"}
    assert pieces.dense.inputs == (0, 1)
    assert pieces.table_bytes == ((10 + 20 + 30 + 10) * 4 * 4 + 10 * 4 + 10 * 4,)


def test_a_float_inputs_shape_may_decide_and_stays_where_it_is():
    pieces = torch_tables.take_apart(table_models.exported(table_models.ByShape()), 1)
    (part,) = pieces.lookups
    assert 1 in part.inputs
    assert part.shapes_alone <= {0}
    assert (0 in part.inputs) == (0 in part.shapes_alone)


@pytest.mark.parametrize("places", [1, 2])
def test_a_model_without_such_tables_is_unsupported(places):
    with pytest.raises(Unsupported, match="the model has 0 embedding tables to set apart, and this setting takes "):
        torch_tables.take_apart(table_models.exported(table_models.Computed()), places)


def test_more_gpus_than_tables_are_unsupported():
    with pytest.raises(Unsupported, match="has 1 embedding tables to set apart, and this setting takes 2 of them, one"):
        torch_tables.take_apart(table_models.exported(table_models.ByShape()), 2)


def test_tables_are_shared_out_by_size_and_each_lies_in_one_place(ranker):
    pieces = torch_tables.take_apart(table_models.exported(ranker), 3)
    held = [constants(part) for part in pieces.lookups]
    assert set.union(*held) == constants(torch_tables.take_apart(table_models.exported(ranker), 1).lookups[0])
    assert sum(map(len, held)) == 6
    assert max(pieces.table_bytes) == 30 * 4 * 4


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [({1: 5, 2: 3, 3: 3}, [{1}, {2, 3}]), ({1: 1, 2: 9}, [{2}, {1}]), ({1: 4, 2: 4, 3: 4}, [{1, 3}, {2}])],
)
def test_the_largest_goes_first_to_the_least_loaded(sizes, groups):
    assert torch_tables.shared_out(sizes, 2) == groups


@pytest.mark.parametrize("places", [1, 2, 3])
def test_the_split_model_answers_as_the_whole_and_its_transfers_are_counted(ranker, places, tmp_path):
    pieces = torch_tables.take_apart(table_models.exported(ranker), places)
    runner = SplitRunner(pieces, [table_models.CPU] * places, table_models.CPU)
    session = torch_cuda.CudaSession(runner, table_models.artifact(tmp_path))
    assert session.spent_ns() == {"transfer": 0}
    before = 0
    for items in (1, 2, 7, 3, 1):
        asked = table_models.request(items)
        found = session.infer(asked)
        for name, values in table_models.expected(ranker, asked).items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == np.float32
        assert session.spent_ns()["transfer"] > before
        before = session.spent_ns()["transfer"]
    session.close()
    session.close()


def test_rows_of_all_types_are_packed_end_to_end_and_found_again():
    rows = [
        torch.arange(3, dtype=torch.int8),
        torch.randn(2, 5),
        torch.empty(0, 4),
        torch.tensor([True, False]),
        torch.randn(3, 2).to(torch.float16).T,
    ]
    room = torch_cuda.Room(table_models.CPU)
    packed, layout = pack(rows, room)
    assert all(slot.start % 16 == 0 for slot in layout)
    for row, back in zip(rows, unpack(packed.clone(), layout), strict=True):
        assert back.dtype == row.dtype
        assert torch.equal(back, row)


META = torch.device("meta")
"""A device that computes shapes alone, and refuses to mix with others: what a GPU would refuse, it does too."""


def on_meta(asked):
    return [torch.from_numpy(values).to(META) for values in asked.values()]


def test_all_of_a_model_goes_to_the_device_with_what_export_wrote_down(ranker):
    module = torch_tables.moved(table_models.exported(ranker), META)
    burnt = {node.kwargs["device"] for node in module.graph.nodes if "device" in node.kwargs}
    assert burnt == {META}
    for items in (1, 5):
        score, vector = module(*on_meta(table_models.request(items)))
        assert (score.device, score.shape, vector.shape) == (META, (items,), (items, 4))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_so_it_does_at_half_the_precision(ranker, precision):
    module = table_models.exported(ranker)
    torch_graph.to_half(module, precision)
    assert torch_tables.moved(module, META)(*on_meta(table_models.request(3)))[0].shape == (3,)


def test_tables_on_the_cpu_and_the_rest_elsewhere_mix_nowhere(ranker):
    pieces = torch_tables.take_apart(table_models.exported(ranker), 1)
    runner = SplitRunner(pieces, [table_models.CPU], META)
    for items in (1, 5):
        hosts = [torch.from_numpy(values) for values in table_models.request(items).values()]
        score, vector = runner(hosts)
        assert (score.device, score.shape, vector.shape) == (META, (items,), (items, 4))
