"""One scenario's trial: enter the candidates, build, screen, judge quality, then interleaved rounds of the contenders.

Everything that happens goes to the store as it happens, and what the store already holds is not done again: that is
how a killed run is resumed.
"""

from __future__ import annotations

import math
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import psutil

from bakeoff.backends import Artifact
from bakeoff.contest import artifacts
from bakeoff.contest.budget import Budget
from bakeoff.contest.load import load_for
from bakeoff.contest.plan import Question
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.quality import evaluate
from bakeoff.decide.race import contenders
from bakeoff.decide.verdict import verdict_of
from bakeoff.measure import host
from bakeoff.measure.block import Block
from bakeoff.measure.engine_room import Engine, Order, StageFailed, build
from bakeoff.store.record import OK, SCREEN_ROUND, CandidateRecord, LedgerRow, ScenarioRecord
from bakeoff.store.store import Store

BUILD_LIMIT_S = 900.0
START_LIMIT_S = 120.0
START_SHARE = 0.25
"""The share of the budget left that one start may take before the engine counts as hanging (but never under 10 s)."""
SCORE_LIMIT_S = 900.0
LOADED_TOGETHER = 3
BLOCKS_A_ROUND = 2
MOST_BLOCKS_A_ROUND = 4
FEWEST_ROUNDS = 3
MOST_ROUNDS = 8
START_GUESS_S = 3.0
BUILD_SHARE = 0.4
"""The share of the budget that all builds together may take, and ONE_BUILD the share of what is left of that which
one of them may: a slow compiler must not cost the others their turn."""
ONE_BUILD = 0.4
RESERVED = 0.6
"""The share of what is left after the builds that the screens leave to the rounds, if those need that much."""
MEMORY_SHARE = 0.6
"""The share of the free memory that a build, or the engines loaded together, may take."""


class Trial:
    """Runs one scenario into the store. Call `hold`; the budget pays for building and measuring."""

    def __init__(
        self,
        question: Question,
        store: Store,
        run: str,
        logs: Path,
        budget: Budget,
        reporter: Reporter,
    ) -> None:
        self.scenario = question.scenario
        self.prepared = question.prepared
        self.entries = {entry.candidate.id: entry for entry in question.entries}
        self.store = store
        self.run = run
        self.logs = logs
        self.budget = budget
        self.reporter = reporter
        self.cpus, self.generator_cpu = host.engine_cpus(self.scenario.resources.cpus)
        self._start_s = START_GUESS_S
        self.load = load_for(self.scenario, self._affordable_s())
        flags = " ".join(host.cpu_flags())
        self._places = {name: artifacts.folder(self.prepared, each, flags) for name, each in self.entries.items()}

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
        self.score_all(self._alive())

    def _affordable_s(self) -> float:
        """How long a block may be so that the budget lasts for a screen of everyone and the fewest rounds."""
        able = sum(entry.failure is None for entry in self.entries.values())
        rivals = min(able, LOADED_TOGETHER)
        starts = math.ceil(able / LOADED_TOGETHER) + FEWEST_ROUNDS
        return (self.budget.left - starts * START_GUESS_S) / max(1, able + FEWEST_ROUNDS * rivals)

    # Entering and building

    def enter(self) -> None:
        """Write down every candidate's probe: its version, or why it goes no further."""
        for name in self._alive(without="probe"):
            entry = self.entries[name]
            if entry.failure is None:
                self._row(name, "probe", OK, facts={"version": entry.version})
            else:
                self._failed(name, entry.failure)

    def build_all(self) -> None:
        """Build what is not in the cache; candidates that differ in load-time settings alone share an artifact."""
        failures: dict[Path, StageFailed] = {}
        ends = 0.0 if math.isinf(self.budget.left) else self.budget.left * (1 - BUILD_SHARE)
        for name in self._alive(without="build"):
            place = self._places[name]
            kept = artifacts.kept(place)
            if kept is None and place not in failures:
                self.reporter.stage(f"building {name}")
                try:
                    kept = self._build(name, place, min(BUILD_LIMIT_S, (self.budget.left - ends) * ONE_BUILD))
                except StageFailed as failed:
                    failures[place] = failed
            if kept is None:
                self._failed(name, failures[place])
            else:
                facts = {"artifact_bytes": artifacts.size_bytes(place), "build_s": kept[1]}
                self._row(name, "build", OK, "", kept[1], facts)

    def _build(self, name: str, place: Path, limit_s: float) -> tuple[Artifact, float]:
        entry = self.entries[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        into = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
        try:
            built = build(
                entry.target,
                self.prepared.folder,
                entry.candidate.variant,
                entry.candidate.precision,
                entry.candidate.setting,
                entry.candidate.device,
                into,
                self._log(name, "build"),
                limit_s,
                host.allowed_cpus(),
                round(MEMORY_SHARE * psutil.virtual_memory().available),
            )
            return artifacts.keep(built.artifact, built.seconds, into, place), built.seconds
        except StageFailed as failed:
            if failed.outcome == "timeout" and limit_s < BUILD_LIMIT_S:
                reason = (
                    f"the build takes longer than the budget leaves ({limit_s:.0f} s); `bakeoff prepare` builds ahead"
                )
                raise StageFailed("build", "over-budget", reason) from None
            raise
        finally:
            shutil.rmtree(into, ignore_errors=True)

    # Screening: each candidate loaded, verified, and measured in one block

    def screen_all(self) -> None:
        """One block for everyone, a few loaded at a time, until what is left of the budget is needed for the rounds."""
        waiting = self._alive(without="screen")
        at_first = len(waiting)
        most_s = math.inf if math.isinf(self.budget.left) else RESERVED * self.budget.left
        while waiting:
            if len(waiting) < at_first and self.budget.left < min(most_s, self._rounds_need_s(at_first)):
                for name in waiting:
                    self._row(name, "screen", "not-reached", "the budget ended before its turn; give a longer --budget")
                return
            group, waiting = waiting[:LOADED_TOGETHER], waiting[LOADED_TOGETHER:]
            engines = self._bring_up(group)
            try:
                for name in list(engines):
                    if self._measure(engines, name, SCREEN_ROUND, 0):
                        self._row(name, "screen", OK, "", self.load.seconds)
            finally:
                _close(engines.values())

    def _rounds_need_s(self, rivals: int) -> float:
        """What the fewest rounds take, of one block each."""
        return FEWEST_ROUNDS * (self._start_s + min(rivals, LOADED_TOGETHER) * self.load.seconds)

    # Quality

    def judge_contenders(self) -> None:
        """Score those who may still win until all have their quality; who falls short makes room for another."""
        judged: set[str] = set()
        self._evaluate(name for name in self._alive() if self._scores(name).exists())
        while missing := [name for name in self._contenders() if name not in judged and not self._has_quality(name)]:
            self.score_all(missing)
            judged.update(missing)

    def score_all(self, names: Iterable[str]) -> None:
        """Run the held-out data through each artifact once, and keep what came out."""
        for name in names:
            if not self._scores(name).exists():
                self.reporter.stage(f"scoring held-out data with {name}")
                engines = self._bring_up([name])
                try:
                    for engine in engines.values():
                        self._score(name, engine)
                finally:
                    _close(engines.values())
            if self._scores(name).exists():
                self._evaluate([name])

    def _score(self, name: str, engine: Engine) -> None:
        half = self._scores(name).with_suffix(".half.npy")
        try:
            engine.score(half, min(SCORE_LIMIT_S, max(1.0, self.budget.left)))
            half.rename(self._scores(name))
        except StageFailed as failed:
            self._failed(name, failed)
        finally:
            half.unlink(missing_ok=True)

    def _evaluate(self, names: Iterable[str]) -> None:
        holdout = self.prepared.holdout()
        done: dict[Path, tuple[object, ...]] = {}
        for name in names:
            if self._has_quality(name):
                continue
            scores = self._scores(name)
            started = time.monotonic()
            figures = evaluate(holdout, np.load(scores), self.prepared.metrics)
            done[scores] = figures
            self.store.add_quality(self.run, self.scenario.name, name, figures)
            self._row(name, "quality", OK, "", time.monotonic() - started)

    # Rounds

    def play_rounds(self) -> None:
        """Rounds of fresh processes, blocks in random order, until the verdict stands or the time is used up."""
        longest_s = 0.0
        blocks = self._blocks_a_round(len(self._contenders()))
        for number in range(1, MOST_ROUNDS + 1):
            names = self._contenders()
            if not names or self._settled(number - 1):
                break
            if number > 1 and self.budget.left < longest_s:
                break
            started = time.monotonic()
            self._play_round(number, names, blocks)
            longest_s = max(longest_s, time.monotonic() - started)
        for candidate in self._record().candidates:
            if candidate.failure is None and any(block.round > SCREEN_ROUND for block in candidate.blocks):
                rounds = len({block.round for block in candidate.blocks} - {SCREEN_ROUND})
                self._row(candidate.id, "serve", OK, "", rounds * blocks * self.load.seconds, {"rounds": rounds})

    def _blocks_a_round(self, rivals: int) -> int:
        """More blocks steady a round, and more rounds are worth more than more blocks: as many as the fewest rounds
        leave time for."""
        if math.isinf(self.budget.left):
            return BLOCKS_A_ROUND
        round_s = self.budget.left / FEWEST_ROUNDS - self._start_s
        return min(MOST_BLOCKS_A_ROUND, max(1, int(round_s / (max(1, rivals) * self.load.seconds))))

    def _play_round(self, number: int, names: list[str], blocks: int) -> None:
        todo = {name: [p for p in range(blocks) if not self._has_block(name, number, p)] for name in names}
        engines = self._bring_up([name for name, positions in todo.items() if positions])
        order = random.Random(f"{self.scenario.seed}/{self.scenario.name}/{number}")
        try:
            for position in range(blocks):
                turn = [name for name in engines if position in todo[name]]
                order.shuffle(turn)
                for name in turn:
                    if name in engines:
                        self._measure(engines, name, number, position)
        finally:
            _close(engines.values())

    def _settled(self, rounds: int) -> bool:
        if rounds < FEWEST_ROUNDS:
            return False
        return verdict_of(self.store.load(self.run), self.scenario.name).verdict == "WIN"

    def _contenders(self) -> list[str]:
        standing = contenders(self._record())
        for name, reason in standing.eliminated.items():
            self._eliminate(name, reason)
        return list(standing.contenders)

    def _eliminate(self, name: str, reason: str) -> None:
        row = LedgerRow("race", "eliminated", reason)
        if all(kept.stage != "race" for kept in self._candidate(name).ledger):
            self._row(name, row.stage, row.outcome, row.reason)

    # Engines

    def _bring_up(self, names: Iterable[str]) -> dict[str, Engine]:
        """Launch workers two at a time, within the memory there is; those that fail leave a ledger row instead."""
        engines: dict[str, Engine] = {}
        waiting = list(names)
        begun = time.monotonic()
        free_bytes = psutil.virtual_memory().available * MEMORY_SHARE
        while waiting:
            pair = [(name, Engine.launch(self._order(name))) for name in waiting[:2]]
            waiting = waiting[2:]
            for name, engine in pair:
                try:
                    engine.ready(min(START_LIMIT_S, max(10.0, START_SHARE * self.budget.left)))
                except StageFailed as failed:
                    engine.close()
                    self._failed(name, failed)
                    continue
                engines[name] = engine
                self._loaded(name, engine)
            if waiting and sum(engine.loaded.memory_bytes for engine in engines.values()) > free_bytes:
                for name in waiting:
                    self._row(name, "load", "not-reached", "no memory left beside the others loaded with it")
                break
        self._start_s = max(self._start_s, time.monotonic() - begun)
        return engines

    def _order(self, name: str) -> Order:
        entry = self.entries[name]
        kept = artifacts.kept(self._places[name])
        if kept is None:
            raise StageFailed("load", "failed", f"its artifact vanished from {self._places[name]}")
        return Order(
            target=entry.target,
            artifact=kept[0],
            setting=entry.candidate.setting,
            device=entry.candidate.device,
            instances=entry.instances,
            cpus=self.cpus,
            memory_bytes=self.scenario.resources.memory_bytes,
            prepared=self.prepared.folder,
            log=self._log(name, "serve"),
            lossy=entry.candidate.lossy,
            generator_cpu=self.generator_cpu,
        )

    def _loaded(self, name: str, engine: Engine) -> None:
        if self._candidate(name).row("load") is None:
            loaded = engine.loaded
            facts = {
                "load_s": loaded.load_s,
                "startup_s": loaded.startup_s,
                "memory_bytes": loaded.memory_bytes,
                "threads": loaded.threads,
                "warmup_requests": loaded.warmup_requests,
            }
            self._row(name, "load", OK, "", loaded.startup_s, facts)
            self._row(name, "verify", OK, "", 0.0, {"worst_error": loaded.worst_error})

    def _measure(self, engines: dict[str, Engine], name: str, number: int, position: int) -> bool:
        """Measure one block into the store; a candidate that fails leaves the engines and gets its row."""
        left = None if math.isinf(self.budget.left) else self.budget.left
        self.reporter.measuring(f"{self.scenario.name}: {name}", left)
        seed = random.Random(f"{self.scenario.seed}/{self.scenario.name}/{number}/{position}").getrandbits(32)
        try:
            with self.reporter.quiet():
                block: Block = self.load.play(engines[name], seed)
        except StageFailed as failed:
            engines.pop(name).close()
            self._failed(name, failed)
            return False
        self.store.add_block(self.run, self.scenario.name, name, number, position, block)
        return True

    # The record

    def _record(self) -> ScenarioRecord:
        record = self.store.load(self.run)
        return next(each for each in record.scenarios if each.name == self.scenario.name)

    def _candidate(self, name: str) -> CandidateRecord:
        return next(each for each in self._record().candidates if each.id == name)

    def _alive(self, without: str = "") -> list[str]:
        """Candidates without a failure, in the plan's order; `without` leaves out those that have passed that stage."""
        records = {each.id: each for each in self._record().candidates}
        return [name for name in self.entries if records[name].failure is None and records[name].row(without) is None]

    def _has_quality(self, name: str) -> bool:
        return bool(self._candidate(name).quality)

    def _has_block(self, name: str, number: int, position: int) -> bool:
        return self.store.has_block(self.run, self.scenario.name, name, number, position)

    def _scores(self, name: str) -> Path:
        return self._places[name] / artifacts.SCORES

    def _log(self, name: str, stage: str) -> Path:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self.logs / f"{self.scenario.name}.{name.replace('/', '_')}.{stage}.log"

    def _failed(self, name: str, failed: StageFailed) -> None:
        self._row(name, failed.stage, failed.outcome, failed.reason)

    def _row(
        self,
        name: str,
        stage: str,
        outcome: str,
        reason: str = "",
        seconds: float = 0.0,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        command = f"bakeoff run {self.scenario.source or self.scenario.workload} --candidate {name}"
        row = LedgerRow(stage, outcome, reason, seconds, command, facts=facts or {})
        self.store.add_row(self.run, self.scenario.name, name, row)
        self.reporter.candidate(name, stage, outcome, reason)


def _close(engines: Iterable[Engine]) -> None:
    for engine in engines:
        engine.close()
