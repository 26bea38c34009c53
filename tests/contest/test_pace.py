"""How a budget is spread over rounds and blocks: arithmetic alone."""

import math

import pytest

from bakeoff.contest.pace import FEW_BLOCKS_A_ROUND, MOST_BLOCKS_A_ROUND, blocks_in, more_blocks
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
    [
        pytest.param(4, 0.0, 0, id="settled"),
        pytest.param(4, 6.0, 0, id="what it has in three rounds anyway"),
        pytest.param(4, 6.5, 1, id="a little more"),
        pytest.param(4, 60.0, 18, id="twenty in each of three rounds"),
        pytest.param(4, 400.0, 30, id="no round is longer than the longest"),
        pytest.param(20, 30.0, 8, id="the last round still may settle it"),
        pytest.param(20, 31.0, 0, id="or not"),
        pytest.param(4, 1e9, 0, id="and for ever is too long"),
    ],
)
def test_more_blocks_for_whom_its_sla_wants_them(number, wanted, blocks):
    assert more_blocks(number, wanted) == blocks


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
