"""Which batch sizes are compiled, and what padding does to a request and to its answers."""

import numpy as np
import pytest

from bakeoff.backends import Model, Tensor
from bakeoff_backends.aten_graph import Graph
from bakeoff_backends.batch_ladder import MOST_SIZES, Ladder, rung, rungs

INPUTS = (Tensor("items", "float32", (None, 2)), Tensor("history", "int64", (1, 3), per="request"))


def ladder(axes=(("s0", 2), (1, 3)), inputs=INPUTS, sizes=(1, 20)):
    graph = Graph(dict(zip(("items", "history"), axes, strict=True)), {}, (), (), (("s0",), (4,)))
    return Ladder.of(graph, Model({}, inputs, ("score", "fixed"), batch_sizes=sizes))


@pytest.mark.parametrize(
    ("items", "size"), [(1, 1), (2, 2), (3, 4), (9, 16), (17, 20), (20, 20), (21, 32), (700, 1024)]
)
def test_a_request_goes_to_the_next_size_or_power_of_two(items, size):
    assert rung(items, (1, 20)) == size


def test_few_sizes_are_compiled_as_they_are_and_many_as_powers_of_two():
    assert rungs([20, 1, 20]) == (1, 20)
    assert rungs(range(1, MOST_SIZES + 1)) == tuple(range(1, MOST_SIZES + 1))
    assert rungs(range(1, 71)) == (1, 2, 4, 8, 16, 32, 64, 70)


def test_the_last_row_is_repeated_and_its_answers_are_cut_off():
    items, history = np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(3)[None]
    steps = ladder()
    padded, same = steps.pad([items, history])
    assert np.array_equal(padded, [[0, 1], [2, 3], [4, 5], [4, 5]])
    assert same is history
    score, fixed = steps.unpad([np.arange(4), np.arange(4)], steps.items([items, history]))
    assert score.tolist() == [0, 1, 2]
    assert fixed.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("axes", [((5, 2), (1, 3)), (("s0", "s1"), (1, 3)), (("s0", 2), (1, "s1"))])
def test_without_one_free_axis_alone_nothing_is_padded(axes):
    steps = ladder(axes)
    given = [np.zeros((3, 2)), np.zeros((1, 3))]
    assert steps.sizes == ()
    assert [values.shape for values in steps.pad(given)] == [(3, 2), (1, 3)]
    assert [values.shape for values in steps.unpad([np.zeros(3), np.zeros(4)], steps.items(given))] == [(3,), (4,)]


def test_the_sizes_of_sample_requests_count_too(tmp_path):
    samples = [{"items": np.zeros((7, 2)), "history": np.zeros((1, 3))}]
    graph = Graph({"items": ("s0", 2), "history": (1, 3)}, {}, (), (), (("s0",),))
    steps = Ladder.of(graph, Model({}, INPUTS, ("score",), samples, (1, 20)))
    steps.write(tmp_path / "ladder.json")
    assert Ladder.read(tmp_path / "ladder.json") == steps == Ladder((1, 7, 20), (True, False), (True,))
