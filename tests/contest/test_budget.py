import math

import pytest

from bakeoff.contest.budget import Budget, blame_budget
from bakeoff.measure.engine_room import StageFailed


class Hand:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_passes_from_the_start_on():
    hand = Hand()
    budget = Budget(60, hand)
    hand.now = 100
    budget.start()
    hand.now = 110
    assert budget.left == 50


def test_nothing_is_spent_before_the_start():
    hand = Hand()
    budget = Budget(60, hand)
    hand.now = 500
    assert budget.left == 60


def test_nothing_left_is_never_negative():
    hand = Hand()
    budget = Budget(5, hand)
    budget.start()
    hand.now = 50
    assert budget.left == 0


def test_what_one_scenario_leaves_over_the_next_ones_share():
    hand = Hand()
    budget = Budget(90, hand)
    budget.start()
    assert budget.share(3).seconds == 30
    hand.now = 10
    assert budget.share(2).seconds == 40


def test_no_budget_has_no_end():
    budget = Budget(None)
    budget.start()
    assert budget.left == math.inf
    assert budget.share(3).seconds is None


@pytest.mark.parametrize(
    ("outcome", "limit_s", "found"),
    [("timeout", 9.0, "over-budget"), ("timeout", 120.0, "timeout"), ("crashed", 9.0, "crashed")],
)
def test_the_budget_is_to_blame_where_it_left_less_time_than_usual(outcome, limit_s, found):
    failed = StageFailed("load", outcome, "no answer within the time limit")
    said = blame_budget(failed, limit_s, 120.0, "its start", "a larger `--budget` waits longer")
    assert (said.stage, said.outcome) == ("load", found)
    assert (said is failed) == (found == outcome)
    assert found == outcome or said.reason == "its start takes longer than the 9 s that the budget leaves it"
