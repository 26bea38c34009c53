"""What decisions.py was asked: the question, how often, how long, and the folder that keeps each step's run."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakeoff.api import Run
from bakeoff.contest import contest
from bakeoff.contest.plan import Question
from bakeoff.scenario import Scenario, load_scenarios, restore
from bakeoff.store.store import Store

REPOSITORY = Path(__file__).resolve().parents[3]
SCENARIO = REPOSITORY / "scenarios" / "ctr-ranking.yaml"
HOURS = REPOSITORY / "results" / "evidence" / "hours.csv"
VARIANTS = ("prune-neurons:0.5",)
"""Cheap to make, small in what it loses: with the engines of `make engines` there are some 38 candidates."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Budgets are in seconds, None: until the verdict stands (or, exhaustive, until all rounds are played). A run begun
    less than `apart_s` after the one before it is at no other hour."""

    store: Path
    scenario: Path = SCENARIO
    variants: tuple[str, ...] = VARIANTS
    budget_s: float | None = None
    seeds: int = 5
    exhaustive_runs: int = 5
    exhaustive_s: float | None = 1800.0
    repeats: int = 20
    every_s: float = math.inf
    apart_s: float = 1200.0
    contenders: int = 6
    hour_s: float | None = 180.0
    connections: int = 1
    deployed_s: float | None = 240.0
    hours: Path = HOURS

    def question(self, only: Sequence[str] = (), ready: bool = True, **changes: Any) -> Question:
        """The scenario as `bakeoff run` would ask it, with `only` these candidates where any are named.

        `ready` builds and scores them ahead, which the cache keeps. `changes` are parts of the scenario's definition:
        mappings are merged with its own, an empty one takes its place.
        """
        (asked,) = contest.ask([self.changed(**changes)], candidates=only)
        if ready:
            contest.make_ready([asked])
        return asked

    def changed(self, **changes: Any) -> Scenario:
        """The scenario with its variants, and parts of its definition changed."""
        definition = load_scenarios([self.scenario])[0].definition()
        definition["variants"] |= {name: name for name in self.variants}
        for key, value in changes.items():
            definition[key] = definition[key] | value if isinstance(value, Mapping) and value else value
        return restore(definition)

    def kept(self, step: str) -> Run | None:
        """A step's finished run, None where there is none yet."""
        place = self.store / f"{step}.db"
        if not place.exists():
            return None
        with Store.open(place) as store:
            finished = (run for run in store.runs() if store.load(run).status == "finished")
            return next((Run(run, str(place)) for run in finished), None)

    def chosen(self) -> tuple[str, Run]:
        """The choice that later hours and a server are to bear out, and the run that made it: a race that is kept, or
        one that is held now. Raises SystemExit where nothing was chosen."""
        run = self.kept("race-0") or self.kept("choice") or self.hold("choice", self.question(), self.budget_s)
        (verdict,) = run.verdict()
        if verdict.choice is None:
            raise SystemExit(f"the first run chose nothing: {verdict.headline}")
        return verdict.choice.candidate, run

    def hold(self, step: str, question: Question, budget_s: float | None) -> Run:
        """A run of the question, kept as this step's; one that is killed begins anew the next time."""
        self.store.mkdir(parents=True, exist_ok=True)
        place, begun = self.store / f"{step}.db", time.monotonic()
        with Store.open(place) as store:
            run = contest.hold([question], store, command=step, budget_s=budget_s, logs=self.store / "logs")
        sys.stderr.write(f"{step}: {(time.monotonic() - begun) / 60:.1f} min\n")
        return Run(run, str(place))


def seeded(question: Question, seed: int, exhaustive: bool = False) -> Question:
    """The same model and artifacts, with arrivals, orders and draws of another seed."""
    definition = question.scenario.definition() | {"seed": seed, "exhaustive": exhaustive}
    return replace(question, scenario=restore(definition))


def minutes(run: Run) -> float:
    """How long a run took; its builds and held-out scores were there before."""
    record = run.record()
    if record.finished_at is None:
        raise ValueError(f"run {run.id} has not ended")
    return (record.finished_at - record.started_at).total_seconds() / 60.0


def let_children_find_us() -> None:
    """Servers of other environments call this checkout's plugins."""
    ours = [str(REPOSITORY / "harness"), str(REPOSITORY / "backends")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*ours, *filter(None, [os.environ.get("PYTHONPATH")])])
