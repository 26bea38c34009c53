"""Which batch sizes are built for, how a request goes through them, and which models cannot go that way."""

import numpy as np
import pytest

from bakeoff.backends import Model, Tensor, Unsupported
from bakeoff_backends import fixed_batches
from bakeoff_backends.fixed_batches import BatchSession

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
    assert BatchSession({1: by_item}, fixed).infer(request(3))["y"].shape == (3,)


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

    session = BatchSession({size: at(size) for size in built}, INPUTS)
    assert np.array_equal(session.infer(request(items))["y"], by_item(request(items))["y"])
    assert len(seen) == 1 or items > max(built)


@pytest.mark.parametrize("items", [1, 3, 4, 5, 11])
def test_every_call_begins_with_the_requests_first_row(items):
    session = BatchSession({4: after_the_first}, INPUTS)
    assert np.array_equal(session.infer(request(items))["y"], after_the_first(request(items))["y"])


def test_a_request_is_left_as_it_is():
    given = request(3)
    BatchSession({4: by_item}, INPUTS).infer(given)
    assert all(np.array_equal(values, request(3)[name]) for name, values in given.items())


def test_a_closed_session_holds_no_engine():
    session = BatchSession({1: by_item}, INPUTS)
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
