"""Which batch sizes are built or compiled for, how a request goes through them, and which models cannot go that way."""

import numpy as np
import pytest

from bakeoff.backends import Model, Tensor, Unsupported
from bakeoff_backends import fixed_batches
from bakeoff_backends.aten_graph import Graph
from bakeoff_backends.fixed_batches import BatchSession, Ladder

INPUTS = (Tensor("x", "float32", (None, 2)), Tensor("history", "float32", (1, 2), per="request"))


def request(items):
    return {
        "x": np.arange(2 * items, dtype=np.float32).reshape(items, 2) + 1,
        "history": np.full((1, 2), 3, np.float32),
    }


def model(*sizes, samples=(5,), inputs=INPUTS):
    return Model({}, inputs, ("y",), [request(items) for items in samples], sizes)


def by_item(inputs):
    return {"y": inputs["x"].sum(1) * inputs["history"].sum()}


def after_the_first(inputs):
    return {"y": inputs["x"].sum(1) + inputs["x"][0, 0]}


def by_all(inputs):
    return {"y": inputs["x"].sum(1) / inputs["x"].sum()}


@pytest.mark.parametrize(
    ("given", "found"),
    [((1,), (1, 2, 4, 5)), ((1, 30), (1, 2, 4, 5, 8, 16, 30)), ((8,), (1, 2, 4, 5, 8)), ((), (1, 2, 4, 5))],
)
def test_the_traffics_and_the_samples_sizes_are_built_and_the_powers_of_two_below(given, found):
    assert fixed_batches.sizes(model(*given)) == found


def test_of_many_sizes_the_powers_of_two_and_the_largest_are_built():
    assert fixed_batches.sizes(model(*range(1, 101))) == (1, 2, 4, 8, 16, 32, 64, 100)


def test_without_a_free_axis_there_is_one_file_and_nothing_is_padded():
    fixed = (Tensor("x", "float32", (3, 2)), INPUTS[1])
    assert fixed_batches.sizes(model(3, samples=(3,), inputs=fixed)) == (1,)
    assert BatchSession({1: by_item}, (), ("y",)).infer(request(3))["y"].shape == (3,)


@pytest.mark.parametrize("built", [(1,), (2,), (1, 4, 8), (3, 7)])
@pytest.mark.parametrize("items", [1, 2, 3, 4, 5, 8, 9, 23])
def test_each_item_is_answered_once_and_in_order_whatever_the_sizes(built, items):
    seen = []

    def at(size):
        def call(inputs):
            assert inputs["x"].shape == (size, 2)
            assert inputs["history"].shape == (1, 2)
            seen.append(size)
            return by_item(inputs)

        return call

    session = BatchSession({size: at(size) for size in built}, ("x",), ("y",))
    assert np.array_equal(session.infer(request(items))["y"], by_item(request(items))["y"])
    assert len(seen) == 1 or items > max(built)


@pytest.mark.parametrize("items", [1, 3, 4, 5, 11])
def test_every_call_begins_with_the_requests_first_row(items):
    session = BatchSession({4: after_the_first}, ("x",), ("y",))
    assert np.array_equal(session.infer(request(items))["y"], after_the_first(request(items))["y"])


def test_a_request_is_left_as_it_is():
    given = request(3)
    BatchSession({4: by_item}, ("x",), ("y",)).infer(given)
    assert all(np.array_equal(values, request(3)[name]) for name, values in given.items())


def test_a_closed_session_holds_no_engine():
    session = BatchSession({1: by_item}, ("x",), ("y",))
    session.close()
    session.close()
    with pytest.raises(KeyError):
        session.infer(request(1))


@pytest.mark.parametrize("whole", [by_item, after_the_first])
def test_models_that_look_at_an_item_and_the_first_can_be_padded(whole):
    fixed_batches.check(model(1, 8), whole)


def test_a_model_whose_items_look_at_each_other_is_refused():
    with pytest.raises(Unsupported, match="output y of an item depends on the request's other items"):
        fixed_batches.check(model(1, 8), by_all)


def test_a_wrong_conversion_is_refused():
    fixed_batches.prove(by_item, by_item, request(3), 1e-3)
    for wrong in (after_the_first, lambda inputs: {"y": np.full(3, np.nan)}, lambda inputs: {"y": np.zeros(2)}):
        with pytest.raises(Unsupported, match=r"computes output y wrongly, by more than 0\.001"):
            fixed_batches.prove(wrong, by_item, request(3), 1e-3)


def test_a_request_to_build_with_is_made_of_the_samples_rows():
    made = fixed_batches.arguments(model(samples=(2, 1)), 5)
    assert made["x"].tolist() == [[1, 2], [3, 4], [1, 2], [1, 2], [3, 4]]
    assert made["history"].tolist() == [[3, 3]]
    assert fixed_batches.arguments(model(samples=()), 5)["x"].shape == (5, 2)


def test_an_axis_that_is_free_besides_the_items_is_refused():
    inputs = (Tensor("x", "float32", (None, None)), INPUTS[1])
    assert fixed_batches.arguments(model(inputs=inputs), 2)["x"].shape == (2, 2)
    uneven = [request(2), {**request(2), "x": np.zeros((2, 7), np.float32)}]
    for samples in ((), uneven):
        with pytest.raises(Unsupported, match="input x has a free axis besides its items"):
            fixed_batches.arguments(Model({}, inputs, ("y",), samples), 2)


def test_the_files_of_an_artifact_are_found_by_size(tmp_path):
    for size in (16, 2, 1):
        fixed_batches.file(tmp_path, size, ".tflite").touch()
    assert list(fixed_batches.files(tmp_path, ".tflite")) == [1, 2, 16]


# engines that compile for each size


def ladder(whole=by_item, axes=(("s0", 2), (1, 2)), sizes=(1, 20), samples=(5,)):
    graph = Graph(dict(zip(("x", "history"), axes, strict=True)), {}, (), (), (("s0",),))
    return Ladder.of(graph, model(*sizes, samples=samples), whole)


def test_few_sizes_are_compiled_for_as_they_are_and_many_as_powers_of_two():
    assert ladder() == Ladder((1, 5, 20), ("x",), ("y",))
    assert ladder(sizes=range(1, 17)).sizes == tuple(range(1, 17))
    assert ladder(sizes=range(1, 71)).sizes == (1, 2, 4, 8, 16, 32, 64, 70)


@pytest.mark.parametrize(
    ("items", "size"), [(1, 1), (2, 2), (3, 4), (9, 16), (17, 20), (20, 20), (21, 32), (700, 1024)]
)
def test_a_request_goes_to_the_next_size_or_power_of_two(items, size):
    seen = []

    def call(inputs):
        seen.append(len(inputs["x"]))
        return by_item(inputs)

    answer = ladder(samples=()).session(call).infer(request(items))
    assert np.array_equal(answer["y"], by_item(request(items))["y"])
    assert seen == [size]


def test_an_answer_to_the_whole_request_is_not_cut():
    session = Ladder((4,), ("x",), ("y",)).session(lambda inputs: {**by_item(inputs), "user": np.arange(4)})
    answer = session.infer(request(3))
    assert (answer["y"].tolist(), answer["user"].tolist()) == (by_item(request(3))["y"].tolist(), [0, 1, 2, 3])


@pytest.mark.parametrize("axes", [((5, 2), (1, 2)), (("s0", "s1"), (1, 2)), (("s0", 2), (1, "s1"))])
def test_without_one_free_axis_alone_nothing_is_padded(axes):
    found = ladder(axes=axes)
    assert found == Ladder((), (), ())
    assert np.array_equal(found.session(by_all).infer(request(3))["y"], by_all(request(3))["y"])


def test_items_that_look_at_each_other_are_never_padded():
    found = ladder(by_all)
    assert found == Ladder((1, 5, 20), (), ())
    assert ladder(by_all, sizes=range(1, 71)).sizes == ()
    for items in (1, 3, 5, 30):
        assert np.array_equal(found.session(by_all).infer(request(items))["y"], by_all(request(items))["y"])


def test_a_ladder_is_read_as_it_was_written(tmp_path):
    ladder().write(tmp_path / "ladder.json")
    assert Ladder.read(tmp_path / "ladder.json") == ladder()
