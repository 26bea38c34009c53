"""How a trial's time is spread: rounds are the unit of statistics, their blocks steady them, and starts cost both."""

from __future__ import annotations

import math

from bakeoff.decide.gates import BLOCKS_A_ROUND, FEWEST_ROUNDS, MOST_ROUNDS

MOST_BLOCKS_A_ROUND = 32
FEW_BLOCKS_A_ROUND = 4
"""Where time is short rounds have up to so many blocks before there are more rounds: an SLA takes requests."""


def blocks_in(number: int, left_s: float, start_s: float, turn_s: float) -> int:
    """How many blocks of each contender round `number` has, where `left_s` are left for this and all later rounds, a
    round takes `start_s` to start, and a block of each takes `turn_s`.

    As many as fill the time in the most rounds that measure at least as long as their engines take to start. Where
    those are few, what the fewest rounds leave time for. At least one; BLOCKS_A_ROUND where there is no end.
    """
    if math.isinf(left_s):
        return BLOCKS_A_ROUND
    most, fewest = (max(1, rounds + 1 - number) for rounds in (MOST_ROUNDS, FEWEST_ROUNDS))
    worth = min(most, max(fewest, int(left_s / (2.0 * start_s))))
    many, few = (int((left_s / rounds - start_s) / turn_s) for rounds in (worth, fewest))
    return max(1, min(MOST_BLOCKS_A_ROUND, many), min(FEW_BLOCKS_A_ROUND, few))


def more_blocks(number: int, wanted: float) -> int:
    """How many blocks beyond BLOCKS_A_ROUND one has in round `number`, where there is no end and so many would settle
    its SLA: those, spread over the fewest rounds; none where all rounds that are left could not bring them."""
    room = MOST_BLOCKS_A_ROUND - BLOCKS_A_ROUND
    if wanted > (MOST_ROUNDS + 1 - number) * room:
        return 0
    return min(room, max(0, math.ceil(wanted / FEWEST_ROUNDS) - BLOCKS_A_ROUND))
