"""What compression costs in quality and saves in size: each variant scored by the engine that would serve it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff import variants
from bakeoff.backends import FP32
from bakeoff.candidates import BASE, Candidate
from bakeoff.contest import artifacts, contest
from bakeoff.contest.budget import Budget
from bakeoff.contest.plan import NOWHERE, Entry, Question
from bakeoff.contest.reporter import Reporter, Silent
from bakeoff.contest.trial import Trial
from bakeoff.decide.quality import evaluate
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario.recipe import Recipe, Step
from bakeoff.store.plain import plain
from bakeoff.store.record import OK, CandidateRecord, Quality
from bakeoff.store.store import Store


@dataclass(frozen=True, slots=True)
class Row:
    """One variant at one precision on one backend.

    `model` holds what its making and its size are: parameters, bytes on disk as they are and compressed by zstd, and
    seconds to make, build and load it. `control` names the variant that shows what the fine-tuning alone does, and
    `beyond_control` is the quality against that one. `by_seed` has the quality of the same variant of models that were
    trained with other seeds, each against its own base, this one first. JSON has the deltas and the values, which for
    the base tell what the seed alone changes.
    """

    asked: str
    variant: str
    precision: str
    backend: str
    outcome: str
    reason: str = ""
    quality: tuple[Quality, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    control: str = ""
    beyond_control: tuple[Quality, ...] = ()
    by_seed: tuple[tuple[Quality, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As strict JSON holds it: what is not known is left out or null."""
        found: dict[str, Any] = plain(
            {
                "asked": self.asked,
                "variant": self.variant,
                "precision": self.precision,
                "backend": self.backend,
                "outcome": self.outcome,
                "reason": self.reason,
                "quality": {each.metric: _figures(each) for each in self.quality},
                "model": dict(self.model),
            }
        )
        if self.control:
            against = {each.metric: _figures(each) for each in self.beyond_control}
            found |= plain({"control": self.control, "against_control": against})
        for place, each in enumerate(self.quality):
            trained = [one[place] for one in self.by_seed if one]
            if trained:
                deltas, values = [one.delta for one in trained], [one.value for one in trained]
                found["quality"][each.metric] |= plain({"seeds": deltas, "seed_values": values})
        return found


def _figures(quality: Quality) -> dict[str, float]:
    return {name: getattr(quality, name) for name in ("value", "base", "delta", "low", "high")}


def appraise(
    scenario: Scenario,
    recipes: Sequence[Recipe],
    backends: Sequence[str],
    seeds: int = 1,
    reporter: Reporter | None = None,
) -> list[Row]:
    """A row for each recipe (see `asking.read`) on each backend, in order, and one for each control that they need.

    Everything is built, loaded and scored once and kept; with several `seeds` the model is trained anew with each, on
    the same data. Raises UserError for what cannot be meant; what fails is a row with its outcome.
    """
    reporter = reporter or Silent()
    wanted = _with_controls(recipes, scenario.own_variants)
    asking = _asking(scenario, wanted, backends)
    first, *others = (_Appraisal(asking, wanted, backends, seed, reporter).rows() for seed in range(seeds))
    if not others:
        return first
    return [
        replace(row, by_seed=tuple(each[place].quality for each in (first, *others))) for place, row in enumerate(first)
    ]


def control(recipe: Recipe) -> Recipe | None:
    """What shows what a recipe's training alone does, at the same precision; None where nothing else is done."""
    named = [
        technique.control or (str(step) if technique.trains else "")
        for step, technique in zip(recipe.steps, variants.techniques(recipe), strict=True)
    ]
    trained = Recipe(tuple(Step.parse(each) for each in named if each), recipe.precision)
    return trained if trained.steps and trained.steps != recipe.steps else None


def _with_controls(recipes: Sequence[Recipe], own: Collection[str]) -> list[Recipe]:
    wanted = {(recipe.name, recipe.precision): recipe for recipe in recipes}
    for recipe in recipes:
        if recipe.name not in own and (trained := control(recipe)):
            wanted.setdefault((trained.name, trained.precision), trained)
    return list(wanted.values())


def _asking(scenario: Scenario, recipes: Sequence[Recipe], backends: Sequence[str]) -> Scenario:
    """The scenario with these variants, precisions and backends in it."""
    own = {name: source for name, source in scenario.variants.items() if name in {BASE, *scenario.own_variants}}
    made = {recipe.name: recipe.name for recipe in recipes if recipe.steps and recipe.name not in own}
    precisions = tuple(dict.fromkeys(recipe.precision or FP32 for recipe in recipes))
    values = scenario.definition()
    values |= {
        "variants": own | made,
        "candidates": {"backends": list(backends), "precisions": list(precisions)},
        "incumbent": None,
    }
    return restore(values, scenario.name)


class _Appraisal:
    """All rows with one training seed."""

    def __init__(
        self, scenario: Scenario, recipes: Sequence[Recipe], backends: Sequence[str], seed: int, reporter: Reporter
    ) -> None:
        self._recipes = recipes
        self._own = scenario.own_variants
        self._backends = backends
        self._reporter = reporter
        training_seed = scenario.seed + seed
        self._question = _one_setting_each(contest.question(scenario, (), reporter, training_seed), recipes)

    def rows(self) -> list[Row]:
        """Build, load and score everything, then read what came out."""
        with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
            with Store.open(Path(folder) / "appraisal.db") as store:
                run = contest.note_down([self._question], store, "bakeoff quality")
                trial = Trial(self._question, store, run, Path(folder), Budget(None), self._reporter)
                trial.make_ready()
                (record,) = store.load(run).scenarios
            found = {_key(each.candidate): each for each in record.candidates}
            return [self._row(recipe, backend, found, trial) for recipe in self._recipes for backend in self._backends]

    def _row(
        self, recipe: Recipe, backend: str, found: Mapping[tuple[str, str, str], CandidateRecord], trial: Trial
    ) -> Row:
        precision = recipe.precision or FP32
        trained = None if recipe.name in self._own else control(recipe)
        row = Row(str(recipe), recipe.name, precision, backend, OK, control=trained.name if trained else "")
        record = found.get((recipe.name, precision, backend))
        nowhere = found.get((recipe.name, FP32, backend)) or found.get((BASE, FP32, backend))
        if record is None and nowhere and nowhere.candidate.setting.name == NOWHERE:
            record = nowhere
        if record is None:
            return replace(row, outcome="unsupported", reason=f"{backend} has no {precision} here")
        if record.failure:
            return replace(row, outcome=record.failure.outcome, reason=record.failure.reason)
        model = self._facts(recipe, record, trial)
        other = found.get((trained.name, precision, backend)) if trained else None
        beyond = self._beyond(record, other, trial) if other and not other.failure else ()
        return replace(row, quality=record.quality, model=model, beyond_control=beyond)

    def _facts(self, recipe: Recipe, record: CandidateRecord, trial: Trial) -> dict[str, Any]:
        prepared = self._question.prepared
        made = prepared.made[recipe.name].facts if recipe.name in prepared.made else {}
        facts = dict(made if recipe.steps else prepared.facts)
        build = record.row("build")
        return facts | (dict(build.facts) if build else {}) | artifacts.load_facts(trial.places[record.id])

    def _beyond(self, record: CandidateRecord, control: CandidateRecord, trial: Trial) -> tuple[Quality, ...]:
        """The quality against the control's own answers in the place of the base's."""
        prepared = self._question.prepared
        mine, its = (np.load(trial.scores_of(each.id)) for each in (record, control))
        return evaluate(replace(prepared.holdout(), reference=its), mine, prepared.metrics)


def _one_setting_each(question: Question, recipes: Sequence[Recipe]) -> Question:
    """The entries that the recipes ask for, each in its backend's first setting: quality is the same in all."""
    wanted = {(recipe.name, recipe.precision or FP32) for recipe in recipes}
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in question.entries:
        candidate = entry.candidate
        if (candidate.variant, candidate.precision) in wanted or (entry.failure and candidate.precision == FP32):
            first.setdefault(_key(candidate), entry)
    return replace(question, entries=tuple(first.values()))


def _key(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.variant, candidate.precision, candidate.backend
