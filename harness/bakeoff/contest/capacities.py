"""How much each contender can take: open-loop blocks at rates around its likely capacity, between a pass and a fail."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import Engines, Fleet
from bakeoff.contest.load import ClosedLoop, OpenLoop, load_for, probing_load
from bakeoff.contest.notebook import Notebook, passed
from bakeoff.decide.evidence import decided, likely_capacity
from bakeoff.decide.search import STEP, find
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.store.record import CAPACITY_ROUND


class Capacities:
    """Brackets capacities into the notebook, and knows the load that follows from them."""

    def __init__(
        self, scenario: Scenario, fleet: Fleet, notebook: Notebook, budget: Budget, load: OpenLoop | ClosedLoop
    ) -> None:
        self._scenario = scenario
        self._fleet = fleet
        self._notebook = notebook
        self._budget = budget
        self._load = load

    def find(self, contenders: Sequence[str], share: float) -> None:
        """Bracket those that were not yet, within a share of the budget that is left, in equal parts; where that is
        too short for a block of each, not at all."""
        traffic = self._scenario.traffic
        waiting = [name for name in contenders if not passed(self._notebook.candidate(name), "capacity")]
        left_s = self._budget.left * share - self._fleet.start_s
        if not waiting or not traffic.open_loop or left_s < len(waiting) * self._load.seconds:
            return
        with self._fleet.loaded(waiting) as engines:
            until = time.monotonic() + left_s
            for count, name in enumerate(waiting):
                if name in engines:
                    self._bracket(name, engines, max(0.0, until - time.monotonic()) / (len(waiting) - count))

    def _bracket(self, name: str, engines: Engines, limit_s: float) -> None:
        begun = time.monotonic()
        record = self._notebook.candidate(name)
        places = [entry.position for entry in record.blocks if entry.round == CAPACITY_ROUND]
        positions = itertools.count(max(places, default=-1) + 1)
        likely_qps, sla = likely_capacity(record, self._scenario), self._scenario.sla
        if likely_qps is None or sla is None:
            return

        def play(qps: float) -> Block | None:
            load = probing_load(self._scenario, qps, self._load.seconds)
            return self._fleet.measure(engines, name, load, CAPACITY_ROUND, next(positions))

        known = [entry.block for entry in record.blocks]
        find(play, likely_qps, sla, known, lambda: time.monotonic() - begun < limit_s)
        if name in engines:
            self._notebook.row(name, "capacity", seconds=time.monotonic() - begun)

    def load_of(self, name: str) -> OpenLoop | ClosedLoop | None:
        """What a candidate's next round is played at: where its capacity is asked for, the highest rate that passed by
        now, or a step below all that failed; None where nothing was decided."""
        if not self._scenario.traffic.asks_capacity:
            return self._load
        found = decided(self._notebook.candidate(name), self._scenario)
        qps = found.passed_qps or (found.failed_qps and found.failed_qps / STEP)
        return None if qps is None else load_for(self._scenario, self._load.seconds, qps)
