import copy
import pickle

import numpy as np
import pytest
import torch

from bakeoff.backends import Tensor
from bakeoff.workloads import exporting
from bakeoff.workloads.histories import NOTHING, Histories
from bakeoff.workloads.sasrec import SasRec


@pytest.fixture
def model() -> SasRec:
    torch.manual_seed(0)
    model = SasRec(items=30, length=6, width=8, blocks=2, heads=2).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, 0, 0.5)
    return model


@pytest.fixture
def histories() -> Histories:
    """User 1 comes at 10, 20 and 30, user 2 at 10 and 30; the events are given out of order."""
    user = np.array([2, 1, 1, 1, 2, 1, 1, 2])
    moment = np.array([30, 10, 20, 10, 10, 30, 20, 30])
    item = np.array([7, 2, 3, 1, 6, 5, 4, 8])
    return Histories(user, moment, item)


def test_a_visit_is_what_a_user_did_at_one_moment(histories) -> None:
    assert histories.user.tolist() == [1, 1, 1, 2, 2]
    assert histories.moment.tolist() == [10, 20, 30, 10, 30]
    assert histories.ordinal.tolist() == [0, 1, 2, 0, 1]
    assert histories.left.tolist() == [2, 1, 0, 1, 0]
    rows, items = histories.contents(np.array([4, 0]))
    assert rows.tolist() == [0, 0, 1, 1]
    assert items.tolist() == [7, 8, 1, 2]


def test_a_history_ends_before_the_visit_and_starts_with_its_user(histories) -> None:
    before = histories.before(np.array([2, 4, 0]), 3)
    assert before.tolist() == [[2, 3, 4], [0, 0, 6], [0, 0, 0]]


def test_windows_lead_up_to_what_is_trained_and_no_further(histories) -> None:
    windows = histories.windows(np.array([True, True, False, True, False]), length=3, stride=2)
    assert histories.items(windows).tolist() == [[0, 1, 2]], (
        "user 2 has one trained visit, before which there is nothing"
    )
    windows = histories.windows(np.ones(5, bool), length=3, stride=2)
    assert histories.items(windows).tolist() == [[2, 3, 4], [0, 1, 2], [0, 0, 6]]
    following = histories.next_visits(windows)
    assert following.tolist() == [[1, NOTHING, 2], [NOTHING, NOTHING, 1], [NOTHING, NOTHING, 4]]


def test_the_score_is_the_last_state_times_the_candidates(model) -> None:
    history, candidates = torch.tensor([[0, 0, 4, 9, 1, 3]]), torch.tensor([5, 6, 5])
    score = model(history, candidates)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, model.items(candidates) @ model.states(history)[0, 5])
    assert score[0] == score[2] != score[1]


def test_no_state_knows_of_what_came_later(model) -> None:
    one, other = (model.states(torch.tensor([[0, 2, 4, 9, *end]])) for end in ([1, 3], [7, 8]))
    torch.testing.assert_close(one[:, 1:4], other[:, 1:4])
    assert not torch.allclose(one[:, 4], other[:, 4])


def test_padding_tells_nothing(model) -> None:
    history, candidates = torch.tensor([[0, 0, 0, 9, 1, 3]]), torch.arange(1, 31)
    score = model(history, candidates)
    with torch.no_grad():
        model.items.weight[0] += 3
    torch.testing.assert_close(model(history, candidates), score)


def test_half_precision_gives_numbers(model) -> None:
    history, candidates = torch.tensor([[0, 0, 0, 0, 0, 3]]), torch.arange(1, 31)
    assert model.to(torch.bfloat16)(history, candidates).isfinite().all()
    assert model.to(torch.float16)(history, candidates).isfinite().all()


@pytest.mark.slow
def test_both_formats_answer_as_the_model_does(model, tmp_path) -> None:
    inputs = (Tensor("history", "int64", (1, 6), per="request"), Tensor("candidates", "int64", (None,)))
    rows = {"history": np.array([[0, 0, 4, 9, 1, 3]]), "candidates": np.arange(1, 20)}
    same = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    files = exporting.export(same, inputs, ("score",), rows, tmp_path)
    assert set(files) == {"exported", "onnx"}
