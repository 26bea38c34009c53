"""How a budget is spread over rounds and blocks: arithmetic alone."""

import math

import pytest

from bakeoff.contest.pace import FEW_BLOCKS_A_ROUND, MOST_BLOCKS_A_ROUND, blocks_in
from bakeoff.decide.gates import BLOCKS_A_ROUND, FEWEST_ROUNDS, MOST_ROUNDS


@pytest.mark.parametrize(
    ("number", "left_s", "start_s", "turn_s", "blocks"),
    [
        pytest.param(1, 400.0, 4.0, 2.0, 8, id="twenty rounds of four and sixteen seconds"),
        pytest.param(20, 20.0, 4.0, 2.0, 8, id="what the last round has left"),
        pytest.param(1, 60.0, 10.0, 2.0, 5, id="three rounds, for starts are dear"),
        pytest.param(1, 60.0, 4.0, 2.0, FEW_BLOCKS_A_ROUND, id="of seven rounds blocks of two: four blocks come first"),
        pytest.param(1, 30.0, 4.0, 2.0, 3, id="and fewer where three rounds have no time for four"),
        pytest.param(1, 12.0, 10.0, 5.0, 1, id="too little for anything: one block, and see"),
        pytest.param(2, 0.0, 3.0, 1.0, 1, id="nothing left"),
        pytest.param(1, 10000.0, 3.0, 1.0, MOST_BLOCKS_A_ROUND, id="no longer than the most"),
        pytest.param(5, math.inf, 3.0, 1.0, BLOCKS_A_ROUND, id="no budget"),
    ],
)
def test_blocks_of_a_round(number, left_s, start_s, turn_s, blocks):
    assert blocks_in(number, left_s, start_s, turn_s) == blocks


@pytest.mark.parametrize(
    ("number", "wanted", "blocks"),
    [(4, 0.0, 2), (4, 34.0, 2), (4, 34.5, 3), (20, 7.2, 8), (4, 1e9, MOST_BLOCKS_A_ROUND)],
)
def test_without_a_budget_what_the_cheapest_wants_for_its_sla_is_there_by_the_last_round(number, wanted, blocks):
    assert blocks_in(number, math.inf, 3.0, 1.0, wanted) == blocks
    assert blocks_in(number, 60.0, 3.0, 1.0, wanted) == blocks_in(number, 60.0, 3.0, 1.0), "a budget is filled anyway"


@pytest.mark.parametrize("start_s", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("budget_s", [30.0, 90.0, 600.0])
def test_rounds_as_planned_end_with_the_budget(budget_s, start_s):
    left_s, rounds, turn_s = budget_s, 0, 1.5
    while rounds < MOST_ROUNDS and left_s >= start_s + turn_s:
        rounds += 1
        left_s -= start_s + blocks_in(rounds, left_s, start_s, turn_s) * turn_s
    assert left_s >= 0.0
    assert rounds >= (FEWEST_ROUNDS if budget_s >= FEWEST_ROUNDS * (start_s + turn_s) else 1)
    assert left_s < start_s + turn_s or rounds == MOST_ROUNDS
