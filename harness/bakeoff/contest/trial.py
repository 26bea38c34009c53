"""One scenario's trial: build, screen, judge quality, bracket capacities, then interleaved rounds of the contenders.

Everything that happens goes to the store as it happens, and what the store already holds is not done again: that is
how a killed run is resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget, blame_budget
from bakeoff.contest.capacities import Capacities
from bakeoff.contest.fleet import Engines, Fleet, log_path
from bakeoff.contest.load import SPRINT_S, load_for
from bakeoff.contest.notebook import Notebook
from bakeoff.contest.pace import blocks_in, more_blocks
from bakeoff.contest.plan import Question
from bakeoff.contest.reporter import Reporter
from bakeoff.contest.turns import Turns
from bakeoff.decide.gates import FEWEST_ROUNDS, MOST_ROUNDS
from bakeoff.decide.quality import evaluate
from bakeoff.decide.race import MOST_CONTENDERS, USUAL_CONTENDERS, contenders
from bakeoff.measure import host
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
LOADED_TOGETHER = 3


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
        self.places = {name: artifacts.folder(self.prepared, each, flags, run) for name, each in self.entries.items()}
        self.notebook = Notebook(self.scenario, list(self.entries), store, run, reporter)
        self.fleet = Fleet(question, self.places, self.notebook, logs, budget, reporter)
        self.turns = Turns(question, self.fleet, self.notebook, budget)
        self.load = load_for(self.scenario, self._affordable_s())
        self.limit = MOST_CONTENDERS
        self.waiting: tuple[str, ...] = ()
        self.wanted_s: Mapping[str, float] = {}
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
        self.notebook.take_up_again([name for name, entry in self.entries.items() if entry.failure is None])
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
            if place not in failures:
                log = log_path(self.logs, self.scenario.name, name, "build")
                limit_s = (self.budget.left - kept_for_later_s) * ONE_BUILD
                asked = (self.prepared, self.entries[name], place, log, limit_s, self.reporter.stage)
                try:
                    _, build_s = artifacts.made(*asked)
                except StageFailed as failed:
                    failures[place] = failed
            if place in failures:
                self.notebook.failed(name, failures[place])
                continue
            facts = {**artifacts.size_facts(place), "build_s": build_s}
            self.notebook.row(name, "build", seconds=build_s, facts=facts)

    def screen_all(self) -> None:
        """One block for everyone, a few loaded at a time, until what is left of the budget is needed for the rounds."""
        waiting = self.notebook.alive(without="screen")
        most_s, first = RESERVED * self.budget.left, True
        while waiting:
            if not first and self.budget.left < min(
                most_s, self._fewest_rounds_s(self._likely_contenders()[:USUAL_CONTENDERS])
            ):
                return self.notebook.no_time(waiting, "screen")
            first, group, waiting = False, waiting[:LOADED_TOGETHER], waiting[LOADED_TOGETHER:]
            with self.fleet.loaded(group) as engines:
                for name in list(engines):
                    self.turns.screen(name, engines, self.load)
                waiting = [*engines.waiting, *waiting]
        return None

    def judge_contenders(self) -> None:
        """Judge those who may still win until all have their quality; who falls short makes room for another."""
        self.limit = self._most_contenders()
        self.judge(name for name in self.notebook.alive() if self.scores_of(name).exists())
        self._judged_contenders()

    def judge(self, names: Iterable[str]) -> None:
        """Run the held-out data through each artifact, once for ever, and compare what came out with the base's."""
        for name in names:
            if not self.scores_of(name).exists():
                self.reporter.stage(f"scoring held-out data with {name}")
                with self.fleet.loaded([name]) as engines:
                    self._score(name, engines)
            if self.scores_of(name).exists() and not self._has_quality(name):
                begun = time.monotonic()
                figures = evaluate(self.prepared.holdout(), np.load(self.scores_of(name)), self.prepared.metrics)
                self.notebook.quality(name, figures, time.monotonic() - begun)

    def play_rounds(self) -> None:
        """Rounds of fresh processes until the verdict stands or the time is used up. A resumed run begins another one,
        for what is compared within one must be of one time; beyond MOST_ROUNDS it does not look whether it may stop:
        those looks are spent. Who waited for a turn to the end is written down as not reached."""
        asks_capacity = self.scenario.traffic.asks_capacity
        kept_s = 0.0 if asks_capacity or math.isinf(self.budget.left) else CAPACITY_SHARE * self.budget.left
        begun = self._rounds_begun()
        for number in range(begun + 1, begun + MOST_ROUNDS + 1):
            if asks_capacity:
                self.capacities.find(self._contenders(), CAPACITY_SHARE_WHERE_ASKED)
            loads = {
                name: load for name in self._judged_contenders() if (load := self.capacities.load_of(name)) is not None
            }
            start_s, turn_s = self.fleet.start_s(loads), sum(self.turns.seconds(*each) for each in loads.items())
            if number == max(begun, FEWEST_ROUNDS) + 1 and not asks_capacity:
                done = self.budget.left < start_s + turn_s or self._settled()
                self.capacities.find(list(loads), 1.0 if done else CAPACITY_SHARE)
            looks = FEWEST_ROUNDS < number <= MOST_ROUNDS or number == begun + 1 > FEWEST_ROUNDS
            settled = looks and self._settled()
            if not loads or settled or (number > begun + 1 and self.budget.left < start_s + turn_s):
                break
            left_s = self.budget.left - (kept_s if number <= FEWEST_ROUNDS else 0.0)
            blocks = blocks_in(number - begun, left_s, start_s, turn_s)
            more = self._more_blocks(number - begun) if math.isinf(left_s) else {}
            self.turns.round(number, loads, {name: blocks + more.get(name, 0) for name in loads})
        self.notebook.no_time(self._without_rounds(self.waiting), "serve")
        for candidate in self.notebook.record().candidates:
            played = [block for block in candidate.blocks if block.round > SCREEN_ROUND]
            if candidate.failure is None and played:
                self.notebook.row(candidate.id, "serve", seconds=sum(each.block.wall_ns for each in played) / 1e9)

    def _rounds_begun(self) -> int:
        """The number of the last round that has a block; 0 where none has."""
        blocks = (block for each in self.notebook.record().candidates for block in each.blocks)
        return max((block.round for block in blocks if block.round > SCREEN_ROUND), default=0)

    def _settled(self) -> bool:
        """Whether more rounds are not worth their time."""
        return not self.scenario.exhaustive and self.notebook.judged().verdict in ("WIN", "TIE")

    def _judged_contenders(self) -> list[str]:
        """The contenders once all of them have their quality: one that waited gets it when its turn comes."""
        tried: set[str] = set()
        while True:
            names = self._contenders()
            missing = [name for name in names if name not in tried and not self._has_quality(name)]
            if not missing:
                return names
            self.judge(missing)
            tried.update(missing)

    def _contenders(self) -> list[str]:
        standing = contenders(self.notebook.record(), self.limit, self.scenario.exhaustive)
        self.notebook.eliminated(standing.eliminated, standing.lost_to)
        self.waiting, self.wanted_s = standing.waiting, standing.wanted_s
        if self.notebook.readmitted(standing.back):
            return self._contenders()
        return list(standing.contenders)

    def _more_blocks(self, number: int) -> dict[str, int]:
        seconds = self.scenario.traffic.duration_s
        return {name: more_blocks(number, wanted_s / seconds) for name, wanted_s in self.wanted_s.items()}

    def _score(self, name: str, engines: Engines) -> None:
        half = self.scores_of(name).with_suffix(".half.npy")
        most_items = artifacts.scored_items(self.entries[name].candidate)
        limit_s = min(artifacts.SCORE_LIMIT_S, max(1.0, self.budget.left))
        try:
            for engine in engines.values():
                engine.score(half, limit_s, most_items)
                half.rename(self.scores_of(name))
                artifacts.keep_load(self.places[name], engine.loaded)
        except StageFailed as failed:
            remedy = "`bakeoff prepare` scores ahead"
            self.notebook.failed(name, blame_budget(failed, limit_s, artifacts.SCORE_LIMIT_S, "scoring", remedy))
        finally:
            half.unlink(missing_ok=True)

    def scores_of(self, name: str) -> Path:
        """Where a candidate's answers to the held-out data lie, or will."""
        return artifacts.scores(self.places[name], self.entries[name].candidate)

    def _without_rounds(self, names: Iterable[str]) -> list[str]:
        """Those that had too few rounds to be compared."""
        rounds = {
            each.id: {block.round for block in each.blocks if block.round > SCREEN_ROUND}
            for each in self.notebook.record().candidates
        }
        return [name for name in names if len(rounds[name]) < FEWEST_ROUNDS]

    def _has_quality(self, name: str) -> bool:
        return self.notebook.has_quality(name)

    # How the budget is spent

    def _affordable_s(self) -> float:
        """How long a block may be so that the budget lasts for a screen of everyone and the fewest rounds."""
        able = [name for name, entry in self.entries.items() if entry.failure is None]
        together = able[:LOADED_TOGETHER]
        starts = math.ceil(len(able) / LOADED_TOGETHER) + FEWEST_ROUNDS
        blocks = len(able) + FEWEST_ROUNDS * len(together)
        sprint_s = SPRINT_S if self.scenario.traffic.open_loop else 0.0
        return (self.budget.left - starts * self.fleet.start_s(together)) / max(1, blocks) - sprint_s

    def _likely_contenders(self) -> tuple[str, ...]:
        """Who would play the rounds by what is known now; nobody is dropped yet."""
        return contenders(self.notebook.record()).contenders

    def _fewest_rounds_s(self, rivals: Collection[str]) -> float:
        return FEWEST_ROUNDS * (
            self.fleet.start_s(rivals) + sum(self.turns.seconds(name, self.load) for name in rivals)
        )

    def _most_contenders(self) -> int:
        """As many as the time left sees through, at least two; more would see no one through."""
        likely = self._likely_contenders()
        affordable = (n for n in range(len(likely), 2, -1) if self._fewest_rounds_s(likely[:n]) <= self.budget.left)
        return MOST_CONTENDERS if len(likely) <= 2 else next(affordable, 2)
