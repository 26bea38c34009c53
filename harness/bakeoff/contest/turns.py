"""A screen and a round, block by block: whose turn it is, what goes beside a block, and which is measured again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import Engines, Fleet
from bakeoff.contest.load import ClosedLoop, OpenLoop, beside, screening_loads
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.pace import MOST_BLOCKS_A_ROUND
from bakeoff.contest.plan import Question
from bakeoff.decide.noise import worth_again
from bakeoff.measure.block import Block
from bakeoff.store.record import SCREEN_ROUND

AGAIN = MOST_BLOCKS_A_ROUND
"""Position p + AGAIN holds the block that was taken because the generator was too late in that of position p."""
SPRINT = 2 * AGAIN
"""Position p + SPRINT (2 SPRINT) holds the first (second) closed loop beside the block of position p."""

Loads = Mapping[str, OpenLoop | ClosedLoop]


class Turns:
    """Plays the blocks of a scenario's candidates on a fleet, into the notebook."""

    def __init__(self, question: Question, fleet: Fleet, notebook: Notebook, budget: Budget) -> None:
        self._scenario = question.scenario
        self._candidates = {entry.candidate.id: entry.candidate for entry in question.entries}
        self._fleet = fleet
        self._notebook = notebook
        self._budget = budget

    def seconds(self, name: str, load: OpenLoop | ClosedLoop) -> float:
        """What a block of one candidate takes with what goes beside it."""
        return load.seconds + sum(each.seconds for each in beside(load, self._scenario, self._candidates[name]))

    def screen(self, name: str, engines: Engines, load: OpenLoop | ClosedLoop) -> None:
        """The blocks that one candidate is screened with, but those that are there."""
        loads = screening_loads(load, self._scenario, self._candidates[name])
        for position, each in enumerate(loads):
            for place in (position, AGAIN + position):
                if self._notebook.has_block(name, SCREEN_ROUND, place):
                    break
                block = self._fleet.measure(engines, name, each, SCREEN_ROUND, place)
                if block is None:
                    return
                if not self._was_disturbed(block):
                    break
        self._notebook.row(name, "screen", seconds=sum(each.seconds for each in loads))

    def round(self, number: int, loads: Loads, blocks: Mapping[str, int]) -> None:
        """So many blocks of each, all in fresh processes; those that the memory does not hold together one group after
        the other. Blocks that not all have are there for the SLA alone: nothing goes beside them."""
        order = random.Random(f"{self._scenario.seed}/{self._scenario.name}/{number}")
        waiting: Sequence[str] = order.sample(list(loads), len(loads))
        while waiting:
            with self._fleet.loaded(waiting) as engines:
                self._together(number, engines, loads, blocks, order)
                waiting = engines.waiting

    def _together(
        self, number: int, engines: Engines, loads: Loads, blocks: Mapping[str, int], order: random.Random
    ) -> None:
        """In random order and in the reverse of it by turns, so that on average everybody's come at the same time; what
        goes beside the blocks of one position comes after them."""
        turns, again = list(engines), list[tuple[str, int]]()
        for position in range(max((blocks[name] for name in turns), default=0)):
            turns.reverse() if position % 2 else order.shuffle(turns)
            for name in [name for name in turns if name in engines and position < blocks[name]]:
                block = self._fleet.measure(engines, name, loads[name], number, position)
                again += [(name, position)] if block is not None and self._was_disturbed(block) else []
            if position >= min(blocks.values()):
                continue
            with_it = {name: beside(loads[name], self._scenario, self._candidates[name]) for name in turns}
            for place in range(max(map(len, with_it.values()), default=0)):
                sprints = {name: each[place] for name, each in with_it.items() if len(each) > place}
                self._fleet.relay(engines, sprints, number, (1 + place) * SPRINT + position)
        for name, position in again:
            if name in engines and self._budget.left > loads[name].seconds:
                self._fleet.measure(engines, name, loads[name], number, AGAIN + position)

    def _was_disturbed(self, block: Block) -> bool:
        sla = self._scenario.sla
        return sla is not None and worth_again(block, sla.limit_ms, sla.percentile)
