"""Races of several seeds beside exhaustive runs: what their choices lose, and how much time they save."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from proofs.proof import Proof

from bakeoff.api import Run
from bakeoff.contest.fleet import AT_ONCE
from bakeoff.contest.pace import MOST_BLOCKS_A_ROUND
from bakeoff.contest.plan import Question
from bakeoff.decide.evidence import fact
from bakeoff.decide.gates import BLOCKS_A_ROUND, MOST_ROUNDS
from bakeoff.decide.stamps import S
from bakeoff.store.record import OK, SCREEN_ROUND, ScenarioRecord
from deciding.asked import Asked, minutes, seeded
from deciding.regrets import Regret, regret

LIKE = 0.02
SHARE = 0.25
FEWEST_CANDIDATES = 30


@dataclass(frozen=True, slots=True)
class Pair:
    """One seed's race and the exhaustive run that judges it: the race's choice, what it loses by the other's rounds,
    the minutes that the race took, and those that all rounds of all would take: what the exhaustive run took is its
    budget."""

    candidates: int
    choice: str | None
    regret: Regret
    race_min: float
    whole_min: float

    @property
    def share(self) -> float:
        """The race's part of the exhaustive time."""
        return self.race_min / self.whole_min


def race(asked: Asked) -> Proof:
    """The regrets of all seeds, and the median share of the time."""
    found = list(pairs(asked))
    agreeing = sum(pair.regret.value <= LIKE for pair in found)
    same = sum(pair.choice is not None and pair.regret.best == pair.choice for pair in found)
    share = statistics.median(pair.share for pair in found)
    candidates = min(pair.candidates for pair in found)
    worst = max((pair.regret for pair in found), key=lambda each: each.value)
    fast, slow = (statistics.median(getattr(pair, which) for pair in found) for which in ("race_min", "whole_min"))
    return Proof(
        f"the race's choice among {candidates} candidates, by the rounds of {_judges(asked)}",
        f"at most {LIKE:.0%} regret in {asked.seeds} of {asked.seeds} seeds, in {SHARE:.0%} of the time (median), at"
        f" least {FEWEST_CANDIDATES} candidates",
        f"{agreeing} of {len(found)} (the best itself in {same}, {_worst(worst)}); {share:.0%} of the time ({fast:.1f}"
        f" of {slow:.1f} minutes that {MOST_ROUNDS} rounds of all take)",
        agreeing == len(found) and share <= SHARE and candidates >= FEWEST_CANDIDATES,
        {f"{name}_{seed}": getattr(pair, name) for seed, pair in enumerate(found) for name in ("choice", "share")}
        | {f"regret_{seed}": pair.regret.value for seed, pair in enumerate(found)}
        | {f"best_{seed}": pair.regret.best for seed, pair in enumerate(found)},
    )


def _judges(asked: Asked) -> str:
    if asked.exhaustive_runs >= asked.seeds:
        return "an exhaustive run of the same seed"
    return f"{asked.exhaustive_runs} exhaustive run{'s' * (asked.exhaustive_runs > 1)} for all seeds"


def pairs(asked: Asked) -> Iterator[Pair]:
    """Each seed's, from the store where it was run before."""

    @cache
    def question() -> Question:
        return asked.question()

    for seed in range(asked.seeds):
        judge = seed % asked.exhaustive_runs
        quick, full = f"race-{seed}", f"exhaustive-{judge}"
        raced = asked.kept(quick) or asked.hold(quick, seeded(question(), seed), asked.budget_s)
        whole = asked.kept(full) or asked.hold(full, seeded(question(), judge, exhaustive=True), asked.exhaustive_s)
        yield pair(raced, whole)


def pair(raced: Run, whole: Run) -> Pair:
    """Two runs beside each other."""
    (verdict,), (everyone,) = raced.verdict(), whole.record().scenarios
    choice = verdict.choice.candidate if verdict.choice else None
    return Pair(able(everyone), choice, regret(everyone, choice), minutes(raced), whole_min(everyone))


def whole_min(record: ScenarioRecord) -> float:
    """What measuring everybody in every round takes without a budget: by the starts and blocks of an exhaustive run."""
    whole_s = 0.0
    for candidate in record.candidates:
        start_s = (fact(candidate, "startup_s") or 0.0) / AT_ONCE
        screens_s = [entry.block.wall_ns / S for entry in candidate.blocks if entry.round == SCREEN_ROUND]
        rounds = [entry for entry in candidate.blocks if entry.round > SCREEN_ROUND]
        turns = sum(entry.position < MOST_BLOCKS_A_ROUND for entry in rounds)
        whole_s += start_s * bool(screens_s) + sum(screens_s)
        if turns:
            turn_s = sum(entry.block.wall_ns for entry in rounds) / S / turns
            whole_s += MOST_ROUNDS * (start_s + BLOCKS_A_ROUND * turn_s)
    return whole_s / 60.0


def able(record: ScenarioRecord) -> int:
    """How many candidates there are of engines that run here."""
    rows = (candidate.row("probe") for candidate in record.candidates)
    return sum(row is not None and row.outcome == OK for row in rows)


def _worst(found: Regret) -> str:
    if found.why:
        return f"the worst: {found.why}"
    span = f", {found.low:.1%} to {found.high:.1%}" if found.high else ""
    return f"largest regret {found.value:.1%}{span}"
