"""How a trial's time is spread: rounds are the unit of statistics, their blocks steady them, and starts cost both."""

from __future__ import annotations

import math

from bakeoff.decide.gates import BLOCKS_A_ROUND, FEWEST_ROUNDS, MOST_ROUNDS

MOST_BLOCKS_A_ROUND = 32
FEW_BLOCKS_A_ROUND = 4
"""Where time is short rounds have up to so many blocks before there are more rounds: an SLA takes requests."""


def blocks_in(number: int, left_s: float, start_s: float, turn_s: float, wanted: float = 0.0) -> int:
    """How many blocks of each contender round `number` has, where `left_s` are left for this and all later rounds, a
    round takes `start_s` to start, a block of each takes `turn_s`, and the cheapest has to have `wanted` more to settle
    its SLA.

    As many as fill the time in the most rounds that measure at least as long as their engines take to start. Where
    those are few, what the fewest rounds leave time for. At least one. Where there is no end, BLOCKS_A_ROUND, or as
    many as bring what is wanted by the last round.
    """
    most, fewest = (max(1, rounds + 1 - number) for rounds in (MOST_ROUNDS, FEWEST_ROUNDS))
    if math.isinf(left_s):
        return min(MOST_BLOCKS_A_ROUND, max(BLOCKS_A_ROUND, math.ceil(wanted / most)))
    worth = min(most, max(fewest, int(left_s / (2.0 * start_s))))
    many, few = (int((left_s / rounds - start_s) / turn_s) for rounds in (worth, fewest))
    return max(1, min(MOST_BLOCKS_A_ROUND, many), min(FEW_BLOCKS_A_ROUND, few))
