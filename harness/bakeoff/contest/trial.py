"""One scenario's trial: build, screen, judge quality, bracket capacities, then interleaved rounds of the contenders.

Everything that happens goes to the store as it happens, and what the store already holds is not done again: that is
how a killed run is resumed.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget
from bakeoff.contest.capacities import Capacities
from bakeoff.contest.fleet import START_GUESS_S, Engines, Fleet, log_path
from bakeoff.contest.load import ClosedLoop, OpenLoop, load_for, screening_loads
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.plan import Question
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.gates import BLOCKS_A_ROUND, FEWEST_ROUNDS
from bakeoff.decide.noise import FULL_PIPE, disturbed
from bakeoff.decide.quality import evaluate
from bakeoff.decide.race import MOST_CONTENDERS, contenders
from bakeoff.measure import host
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import StageFailed
from bakeoff.store.record import SCREEN_ROUND
from bakeoff.store.store import Store

BUILD_SHARE = 0.4
"""The share of the budget that all builds together may take, and ONE_BUILD the share of what is left of that which
one of them may: a slow compiler must not cost the others their turn."""
ONE_BUILD = 0.4
RESERVED = 0.6
"""The share of what is left after the builds that the screens leave to the rounds, if those need that much."""
CAPACITY_SHARE, CAPACITY_SHARE_WHERE_ASKED = 0.2, 0.5
"""The share of the budget left for bracketing capacities: after the fewest rounds, or before them where capacity is the
question."""
SCORE_LIMIT_S = 900.0
LOADED_TOGETHER = 3
FEW_BLOCKS_A_ROUND = 4
"""Where time is short rounds have up to so many blocks before there are more rounds: an SLA takes requests."""
MOST_BLOCKS_A_ROUND = 32
"""Position p + 32 holds the block that was taken because the generator was too late in that of position p."""
MOST_ROUNDS = 8


class Trial:
    """Runs one scenario into the store; the budget pays for building and measuring. Call `hold` or `make_ready`."""

    def __init__(
        self, question: Question, store: Store, run: str, logs: Path, budget: Budget, reporter: Reporter
    ) -> None:
        flags = " ".join(host.cpu_flags())
        self.scenario = question.scenario
        self.prepared = question.prepared
        self.entries = {entry.candidate.id: entry for entry in question.entries}
        self.logs = logs
        self.budget = budget
        self.reporter = reporter
        self.places = {name: artifacts.folder(self.prepared, each, flags) for name, each in self.entries.items()}
        self.notebook = Notebook(self.scenario, list(self.entries), store, run, reporter)
        self.fleet = Fleet(question, self.places, self.notebook, logs, budget, reporter)
        self.load = load_for(self.scenario, self._affordable_s())
        self.limit = MOST_CONTENDERS
        self.capacities = Capacities(self.scenario, self.fleet, self.notebook, budget, self.load, reporter)

    def hold(self) -> None:
        """The whole trial, one part after the other."""
        self.enter()
        self.build_all()
        self.screen_all()
        self.judge_contenders()
        self.play_rounds()

    def make_ready(self) -> None:
        """All that takes long and is kept: artifacts and held-out scores, so that a later run's budget measures."""
        self.enter()
        self.build_all()
        self.judge(self.notebook.alive())

    def enter(self) -> None:
        """Write down every candidate's probe: its version, or why it goes no further."""
        self.notebook.take_up_again()
        for name in self.notebook.alive(without="probe"):
            entry = self.entries[name]
            if entry.failure is None:
                self.notebook.row(name, "probe", facts={"version": entry.version})
            else:
                self.notebook.failed(name, entry.failure)

    def build_all(self) -> None:
        """Build what is not in the cache; candidates that differ in load-time settings alone share an artifact."""
        failures: dict[Path, StageFailed] = {}
        kept_for_later_s = 0.0 if math.isinf(self.budget.left) else self.budget.left * (1 - BUILD_SHARE)
        for name in self.notebook.alive(without="build"):
            place = self.places[name]
            if artifacts.kept(place) is None and place not in failures:
                self.reporter.stage(f"building {name}")
                log = log_path(self.logs, self.scenario.name, name, "build")
                limit_s = (self.budget.left - kept_for_later_s) * ONE_BUILD
                try:
                    artifacts.make(self.prepared, self.entries[name], place, log, limit_s)
                except StageFailed as failed:
                    failures[place] = failed
            if place in failures:
                self.notebook.failed(name, failures[place])
                continue
            _, build_s = artifacts.kept_or_fail(place)
            facts = {"artifact_bytes": artifacts.size_bytes(place), "build_s": build_s}
            self.notebook.row(name, "build", seconds=build_s, facts=facts)

    def screen_all(self) -> None:
        """One block for everyone, a few loaded at a time, until what is left of the budget is needed for the rounds."""
        waiting = self.notebook.alive(without="screen")
        reserve_s = min(RESERVED * self.budget.left, self._fewest_rounds_s(waiting[:LOADED_TOGETHER]))
        first = True
        while waiting:
            if not first and self.budget.left < reserve_s:
                return self.notebook.no_time(waiting, "screen")
            first, group, waiting = False, waiting[:LOADED_TOGETHER], waiting[LOADED_TOGETHER:]
            with self.fleet.loaded(group) as engines:
                for name in list(engines):
                    self._screen(name, engines)
        return None

    def _screen(self, name: str, engines: Engines) -> None:
        loads = screening_loads(self.load, self.scenario, self.entries[name].candidate.setting)
        for position, load in enumerate(loads):
            for place in (position, MOST_BLOCKS_A_ROUND + position):
                if self.notebook.has_block(name, SCREEN_ROUND, place):
                    break
                block = self.fleet.measure(engines, name, load, SCREEN_ROUND, place)
                if block is None:
                    return
                if not self._was_disturbed(block):
                    break
        self.notebook.row(name, "screen", seconds=sum(load.seconds for load in loads))

    def judge_contenders(self) -> None:
        """Judge those who may still win until all have their quality; who falls short makes room for another."""
        tried: set[str] = set()
        self.limit = self._most_contenders()
        self.judge(name for name in self.notebook.alive() if self._scores(name).exists())
        while missing := [name for name in self._contenders() if name not in tried and not self._has_quality(name)]:
            self.judge(missing)
            tried.update(missing)

    def judge(self, names: Iterable[str]) -> None:
        """Run the held-out data through each artifact, once for ever, and compare what came out with the base's."""
        for name in names:
            if not self._scores(name).exists():
                self.reporter.stage(f"scoring held-out data with {name}")
                with self.fleet.loaded([name]) as engines:
                    self._score(name, engines)
            if self._scores(name).exists() and not self._has_quality(name):
                begun = time.monotonic()
                figures = evaluate(self.prepared.holdout(), np.load(self._scores(name)), self.prepared.metrics)
                self.notebook.quality(name, figures, time.monotonic() - begun)

    def play_rounds(self) -> None:
        """Rounds of fresh processes until the verdict stands or the time is used up. Their blocks come in random order
        and in the reverse of it by turns, so that nobody is the first more often."""
        longest_s = 0.0
        for number in range(1, MOST_ROUNDS + 1):
            if self.scenario.traffic.asks_capacity:
                self.capacities.find(self._contenders(), CAPACITY_SHARE_WHERE_ASKED)
            loads = {name: load for name in self._contenders() if (load := self.capacities.load_of(name)) is not None}
            last = number > 1 and self.budget.left < longest_s
            if number == FEWEST_ROUNDS + 1 and not self.scenario.traffic.asks_capacity:
                done = last or self.notebook.judged().verdict == "WIN"
                self.capacities.find(list(loads), 1.0 if done else CAPACITY_SHARE)
            settled = number > FEWEST_ROUNDS and self.notebook.judged().verdict == "WIN"
            if not loads or settled or last:
                break
            begun = time.monotonic()
            self._play_round(number, loads, self._blocks_in(number, loads))
            longest_s = max(longest_s, time.monotonic() - begun)
        for candidate in self.notebook.record().candidates:
            played = [block for block in candidate.blocks if block.round > SCREEN_ROUND]
            if candidate.failure is None and played:
                self.notebook.row(candidate.id, "serve", seconds=len(played) * self.load.seconds)

    def _play_round(self, number: int, loads: Mapping[str, OpenLoop | ClosedLoop], blocks: int) -> None:
        has_block = self.notebook.has_block
        todo = {name: [p for p in range(blocks) if not has_block(name, number, p)] for name in loads}
        order = random.Random(f"{self.scenario.seed}/{self.scenario.name}/{number}")
        again: list[tuple[str, int]] = []
        with self.fleet.loaded(name for name, positions in todo.items() if positions) as engines:
            turns = list(engines)
            for position in range(blocks):
                turns.reverse() if position % 2 else order.shuffle(turns)
                for name in [name for name in turns if name in engines and position in todo[name]]:
                    block = self.fleet.measure(engines, name, loads[name], number, position)
                    again += [(name, position)] if block is not None and self._was_disturbed(block) else []
            for name, position in again:
                if name in engines:
                    self.fleet.measure(engines, name, loads[name], number, MOST_BLOCKS_A_ROUND + position)

    def _was_disturbed(self, block: Block) -> bool:
        """Whether the generator was too late, and another block is worth its time: not where the engine is behind."""
        sla = self.scenario.sla
        return sla is not None and disturbed(block, sla.limit_ms, sla.percentile) not in ("", FULL_PIPE)

    def _contenders(self) -> list[str]:
        standing = contenders(self.notebook.record(), self.limit)
        self.notebook.eliminated(standing.eliminated)
        if not standing.contenders and self.notebook.readmitted("those that it lost to dropped out", self.limit):
            return self._contenders()
        return list(standing.contenders)

    def _score(self, name: str, engines: Engines) -> None:
        half = self._scores(name).with_suffix(".half.npy")
        most_items = artifacts.scored_items(self.entries[name].candidate)
        limit_s = min(SCORE_LIMIT_S, max(1.0, self.budget.left))
        try:
            for engine in engines.values():
                engine.score(half, limit_s, most_items)
                half.rename(self._scores(name))
        except StageFailed as failed:
            short = failed.outcome == "timeout" and limit_s < SCORE_LIMIT_S
            remedy = "`bakeoff prepare` scores ahead"
            failed = StageFailed("quality", "over-budget", "the budget ended first", remedy) if short else failed
            self.notebook.failed(name, failed)
        finally:
            half.unlink(missing_ok=True)

    def _scores(self, name: str) -> Path:
        return artifacts.scores(self.places[name], self.entries[name].candidate)

    def _has_quality(self, name: str) -> bool:
        return bool(self.notebook.candidate(name).quality)

    # How the budget is spent

    def _affordable_s(self) -> float:
        """How long a block may be so that the budget lasts for a screen of everyone and the fewest rounds."""
        able = sum(entry.failure is None for entry in self.entries.values())
        rivals = min(able, LOADED_TOGETHER)
        starts = math.ceil(able / LOADED_TOGETHER) + FEWEST_ROUNDS
        return (self.budget.left - starts * START_GUESS_S) / max(1, able + FEWEST_ROUNDS * rivals)

    def _fewest_rounds_s(self, rivals: Collection[str]) -> float:
        return FEWEST_ROUNDS * (self.fleet.start_s(rivals) + len(rivals) * self.load.seconds)

    def _most_contenders(self) -> int:
        """With little time left two see it through; more would see no one through."""
        likely = contenders(self.notebook.record()).contenders
        return MOST_CONTENDERS if self.budget.left >= self._fewest_rounds_s(likely) else 2

    def _blocks_in(self, number: int, rivals: Collection[str]) -> int:
        """As many as fill the budget in the most rounds that measure at least as long as their engines take to start: a
        round is the unit of statistics, its blocks steady it. Where those are few, what the fewest rounds leave time
        for. A round that a resumed run finds begun ends as it is."""
        record = self.notebook.record()
        begun = [block.position for each in record.candidates for block in each.blocks if block.round == number]
        if begun:
            return 1 + max(position for position in begun if position < MOST_BLOCKS_A_ROUND)
        if math.isinf(self.budget.left):
            return BLOCKS_A_ROUND
        left_s = self.budget.left * (1.0 if number > FEWEST_ROUNDS else 1.0 - CAPACITY_SHARE)
        most, fewest = (max(1, rounds + 1 - number) for rounds in (MOST_ROUNDS, FEWEST_ROUNDS))
        start_s = self.fleet.start_s(rivals)
        worth = min(most, max(fewest, int(left_s / (2.0 * start_s))))
        many, few = (int((left_s / rounds - start_s) / (len(rivals) * self.load.seconds)) for rounds in (worth, fewest))
        return max(1, min(MOST_BLOCKS_A_ROUND, many), min(FEW_BLOCKS_A_ROUND, few))
