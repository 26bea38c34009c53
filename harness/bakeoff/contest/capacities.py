"""How much each contender can take: open-loop blocks at rates around its likely capacity, between a pass and a fail."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from bakeoff.contest.budget import Budget
from bakeoff.contest.fleet import Engines, Fleet
from bakeoff.contest.load import ClosedLoop, OpenLoop, load_for, probing_load
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.evidence import likely_capacity
from bakeoff.decide.search import find, judged, standing_qps
from bakeoff.measure.block import Block
from bakeoff.scenario import Scenario
from bakeoff.store.record import CAPACITY_ROUND

MOST_BLOCKS = 20
"""A contender's capacity is worth so many blocks, where it is not the question itself and no budget ends it before."""


class Capacities:
    """Brackets capacities into the notebook, and knows the load that follows from them. `load` is the trial's."""

    def __init__(
        self,
        scenario: Scenario,
        fleet: Fleet,
        notebook: Notebook,
        budget: Budget,
        load: OpenLoop | ClosedLoop,
        reporter: Reporter,
    ) -> None:
        self._scenario = scenario
        self._fleet = fleet
        self._notebook = notebook
        self._budget = budget
        self._load = load
        self._reporter = reporter
        self._likely: dict[str, float] = {}

    def find(self, contenders: Sequence[str], share: float) -> None:
        """Bracket those that were not yet, within a share of the budget that is left, in equal parts; where that is
        too short for a block of each, not at all. An earlier part of a resumed run is gone on with."""
        if not self._scenario.traffic.open_loop:
            return
        waiting = [name for name in contenders if name not in self._likely and self._is_open(name)]
        left_s = self._budget.left * share - self._fleet.start_s(waiting)
        if not self._scenario.traffic.asks_capacity:
            left_s = min(left_s, MOST_BLOCKS * len(waiting) * self._load.seconds)
        if not waiting or left_s < sum(self._probe(self._likely[name]).seconds for name in waiting):
            return
        self._reporter.stage(f"{self._scenario.name}: bracketing what {len(waiting)} can take")
        while waiting:
            with self._fleet.loaded(waiting) as engines:
                names, waiting = list(engines), list(engines.waiting)
                for done, name in enumerate(names):
                    left_s -= self._bracket(name, engines, left_s / (len(names) - done + len(waiting)))

    def _is_open(self, name: str) -> bool:
        """Whether a search may tell something of it that none told yet; where to begin is kept then."""
        record = self._notebook.candidate(name)
        row, likely_qps = record.row("capacity"), likely_capacity(record, self._scenario)
        if likely_qps is None or (row is not None and row.facts.get("complete")):
            return False
        self._likely[name] = likely_qps
        return True

    def _probe(self, qps: float) -> OpenLoop:
        return probing_load(self._scenario, qps, self._load.seconds)

    def _bracket(self, name: str, engines: Engines, limit_s: float) -> float:
        """Try rates for at most so long; gives the seconds that it took."""
        record, sla, begun = self._notebook.candidate(name), self._scenario.sla, time.monotonic()
        places = [entry.position for entry in record.blocks if entry.round == CAPACITY_ROUND]
        positions = itertools.count(max(places, default=-1) + 1)
        longest_s = 0.0

        def play(qps: float) -> Block | None:
            nonlocal longest_s
            since = time.monotonic()
            block = self._fleet.measure(engines, name, self._probe(qps), CAPACITY_ROUND, next(positions))
            longest_s = max(longest_s, time.monotonic() - since)
            return block

        def may_go_on() -> bool:
            return time.monotonic() - begun + longest_s <= limit_s

        if sla is not None:
            known = [entry.block for entry in record.blocks]
            found = find(play, self._likely[name], sla, known, may_go_on)
            if name in engines:
                seconds = time.monotonic() - begun
                self._notebook.row(name, "capacity", seconds=seconds, facts={"complete": found.complete})
        return time.monotonic() - begun

    def load_of(self, name: str) -> OpenLoop | ClosedLoop | None:
        """What a candidate's next round is played at: where its capacity is asked for, the likeliest rate to hold by
        now; None where no rate was tried."""
        if not self._scenario.traffic.asks_capacity:
            return self._load
        sla, blocks = self._scenario.sla, (entry.block for entry in self._notebook.candidate(name).blocks)
        qps = None if sla is None else standing_qps(judged(blocks, sla), sla)
        return None if qps is None else load_for(self._scenario, self._load.seconds, qps)
