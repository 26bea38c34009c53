import math

from bakeoff.contest.budget import Budget


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
