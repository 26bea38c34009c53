import numpy as np
import pytest

from bakeoff.backends import Tensor
from bakeoff.measure.verify import Verifier, WrongOutput
from bakeoff.workloads.prepared import Requests
from bakeoff.workloads.writing import write_references, write_requests


@pytest.fixture
def pool(tiny_prepared):
    return tiny_prepared.requests()


def answers(pool, *indices):
    return {"score": np.concatenate([pool.reference(index)["score"] for index in indices])}


def test_the_reference_itself_is_right(pool):
    verifier = Verifier(pool, lossy=False)
    assert verifier.error([3], answers(pool, 3)) == 0
    assert verifier.error([3, 4], answers(pool, 3, 4)) == 0
    assert verifier.judge([0.0, 1e-6]) == 1e-6
    assert verifier.judge([]) == 0


def test_a_request_without_a_reference_is_not_judged(pool):
    assert Verifier(pool, lossy=False).error([pool.references], {}) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda score: {}, "no output 'score'"),
        (lambda score: None, "no output 'score'"),
        (lambda score: {"score": score.tolist()}, "is a list, not an array"),
        (lambda score: {"score": score[:1]}, r"shape \(1,\), the reference \(4,\)"),
        (lambda score: {"score": score.astype(np.int64)}, "dtype int64, the reference float32"),
        (lambda score: {"score": score * np.nan}, "NaN or infinity"),
    ],
)
def test_what_is_no_answer(pool, change, reason):
    with pytest.raises(WrongOutput, match=reason):
        Verifier(pool, lossy=True).error([0], change(pool.reference(0)["score"]))


def test_fp32_is_tight_and_lossy_is_not(pool):
    rough = {"score": answers(pool, 0)["score"] + np.float32(0.02)}
    error = Verifier(pool, lossy=True).error([0], rough)
    assert 0.02 < error < 0.3
    assert Verifier(pool, lossy=True).judge([error]) == error
    with pytest.raises(WrongOutput, match="differ from the reference by"):
        Verifier(pool, lossy=False).judge([error])


@pytest.mark.parametrize("lossy", [True, False])
def test_anothers_answer_and_a_constant_are_caught(pool, lossy):
    verifier = Verifier(pool, lossy)
    even = [index for index in range(pool.references) if index % 2 == 0]
    anothers = [verifier.error([i], pool.reference((i + 2) % pool.references)) for i in even]
    constant = [verifier.error([i], {"score": np.full(4, 0.5, np.float32)}) for i in even]
    for errors in (anothers, constant):
        with pytest.raises(WrongOutput):
            verifier.judge(errors)


def test_one_odd_request_in_twenty_does_not_damn_a_lossy_engine(pool):
    errors = [0.1] * 19 + [3.0]
    assert Verifier(pool, lossy=True).judge(errors) == 0.1
    with pytest.raises(WrongOutput):
        Verifier(pool, lossy=False).judge(errors)
    with pytest.raises(WrongOutput):
        Verifier(pool, lossy=True).judge([0.1] * 9 + [float("nan")])


@pytest.mark.parametrize("blocks", [20, 200])
def test_short_blocks_of_a_lossy_engine_are_judged_together(pool, blocks):
    verifier = Verifier(pool, lossy=True)
    verifier.judge_next([0.1] * 32)
    for _ in range(blocks):
        assert verifier.judge_next([0.1] * 9 + [3.0, *[0.1] * 9]) == 0.1, "1 in 19 of them is within 1 in 10"
    with pytest.raises(WrongOutput):
        Verifier(pool, lossy=True).judge_next([0.1] * 7 + [3.0])


def test_short_blocks_of_which_each_is_a_quarter_wrong_are_caught(pool):
    verifier = Verifier(pool, lossy=True)
    verifier.judge_next([0.1] * 64)
    for _ in range(3):
        verifier.judge_next([0.1] * 6 + [3.0, 3.0])
    with pytest.raises(WrongOutput):
        verifier.judge_next([0.1] * 6 + [3.0, 3.0])


def test_an_engine_that_turns_wrong_is_caught_in_the_first_block_that_is(pool):
    lossy, exact = Verifier(pool, lossy=True), Verifier(pool, lossy=False)
    for verifier in (lossy, exact):
        for _ in range(30):
            verifier.judge_next([1e-4] * 8)
    with pytest.raises(WrongOutput):
        lossy.judge_next([3.0] * 8)
    with pytest.raises(WrongOutput):
        exact.judge_next([1e-4] * 7 + [0.1])
    assert Verifier(pool, lossy=True).judge_next([]) == 0


def test_outputs_of_other_kinds(tmp_path):
    """Integers, text, a constant, shapes that differ, and infinities that the model itself gives."""
    write_requests(tmp_path, (Tensor("x", "float32", (None,)),), {"x": np.zeros(4, np.float32)}, [2, 2])
    given = [
        {"ids": np.array([1, 2]), "text": np.array(["a", "b"]), "flat": np.full(2, 7.0), "ragged": np.ones((1, 2)),
         "log": np.array([-np.inf, 1.0])},
        {"ids": np.array([3, 4]), "text": np.array(["c", "d"]), "flat": np.full(2, 7.0), "ragged": np.ones((1, 3)),
         "log": np.array([2.0, 1.0])},
    ]  # fmt: skip
    names = ["ids", "text", "flat", "ragged", "log"]
    write_references(tmp_path, names, given)
    pool = Requests(tmp_path, (Tensor("x", "float32", (None,)),), tuple(names))
    verifier = Verifier(pool, lossy=False)
    assert verifier.error([0], pool.reference(0)) == 0
    assert verifier.error([0], pool.reference(0) | {"text": np.array(["a", "x"])}) == 0.5
    assert verifier.error([0], pool.reference(0) | {"flat": np.full(2, 14.0)}) == 1
