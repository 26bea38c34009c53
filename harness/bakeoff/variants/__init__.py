"""The compression techniques by name, one file each, and the registry that finds those of others.

A plugin's technique registers by the entry point group `bakeoff.variants`, exactly as the ones here do.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from bakeoff.scenario.recipe import Recipe

__all__ = ["ENTRY_POINT_GROUP", "Bench", "Technique", "listed", "registered", "techniques"]

ENTRY_POINT_GROUP = "bakeoff.variants"


@cache
def registered() -> dict[str, EntryPoint]:
    """Every installed technique by name, unimported."""
    return {point.name: point for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda each: each.name)}


def techniques(recipe: Recipe) -> tuple[Technique, ...]:
    """The techniques of a recipe with their parameters; raises ValueError with what would be right."""
    found = tuple(_class(step.name).of(step) for step in recipe.steps)
    for each in found[1:]:
        if each.begins:
            raise ValueError(f"{recipe}: {each.name} makes a model of its own, so it comes first")
    return found


def listed() -> list[tuple[str, str]]:
    """Each technique as it is written with its parameters' defaults, and what it does in half a line."""
    classes = [_class(name) for name in registered()]
    return [(each.usage(), each.about) for each in classes]


def _class(name: str) -> type[Technique]:
    known = registered()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise ValueError(f"{name}: unknown technique; {hint}")
    try:
        found = known[name].load()
    except Exception as error:
        raise ValueError(f"{name}: its plugin {known[name].value} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Technique)):
        raise ValueError(f"{name}: its plugin {known[name].value} is no bakeoff.variants.Technique")
    return found
