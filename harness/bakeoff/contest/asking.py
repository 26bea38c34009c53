"""Which variants an appraisal is asked for: recipes of techniques, and a person's own files by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bakeoff.errors import UserError
from bakeoff.scenario import Scenario
from bakeoff.scenario.recipe import ALIASES, PRECISIONS, Recipe, Step
from bakeoff.workloads.recipes import check


def read(scenario: Scenario, asked: Sequence[str]) -> list[Recipe]:
    """The variants asked for, or the base and all that the scenario names, each at the precisions that it is named at.

    A person's own file is a recipe of one step, its name, which goes before a technique's. Raises UserError.
    """
    try:
        found = [_read(scenario, each) for each in asked] or [Recipe(), *_named_in(scenario)]
    except ValueError as error:
        raise UserError(f"--variants: {error}") from None
    check((each.name for each in found if each.steps and each.name not in scenario.own_variants), "--variants")
    return found


def _read(scenario: Scenario, text: str) -> Recipe:
    own, text = scenario.own_variants, text.strip()
    if text in own:
        return _own(text)
    *before, last = re.split(r"\s*[>+]\s*", text)
    precision = ALIASES.get(last, last)
    head = text[: -len(last)].rstrip(" >+")
    if head in own and precision in PRECISIONS:
        return _own(head, precision)
    for word in (*before, *([] if precision in PRECISIONS else [last])):
        if word in own:
            raise ValueError(f"{text!r}: {word} is a file of yours: only a precision may follow, as in {word} > int8")
    return Recipe.parse(text)


def _named_in(scenario: Scenario) -> list[Recipe]:
    made = {name: sorted(pins, key=lambda pin: pin or "") for name, pins in scenario.recipes.items()}
    recipes = [Recipe(Recipe.parse(name).steps, pin) for name, pins in made.items() for pin in pins]
    return [*map(_own, scenario.own_variants), *recipes]


def _own(name: str, precision: str | None = None) -> Recipe:
    return Recipe((Step(name),), precision)
