"""The compression techniques by name, one file each, and the registry that finds those of others.

A plugin's technique registers by the entry point group `bakeoff.variants`, exactly as the ones here do.
"""

from __future__ import annotations

import difflib
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from bakeoff.scenario.recipe import ALIASES, PRECISIONS
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
    """Each technique as it is written with its parameters' defaults, and what it does in half a line.

    A plugin's that cannot be used is listed with the reason, and hides no other.
    """
    return [_listed(name) for name in registered()]


def _listed(name: str) -> tuple[str, str]:
    try:
        found = _class(name)
    except ValueError as error:
        return name, str(error).removeprefix(f"{name}: ")
    return found.usage(), found.about


def _class(name: str) -> type[Technique]:
    known = registered()
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *PRECISIONS, *ALIASES], 1)
        listed = f"there are {', '.join(known)}; and as the last step the precisions {', '.join(PRECISIONS)}"
        hint = f"did you mean {close[0]}?" if close else listed
        raise ValueError(f"{name}: unknown technique; {hint}")
    try:
        found = known[name].load()
    except Exception as error:
        said = " ".join(str(error).split())
        reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise ValueError(f"{name}: its plugin {known[name].value} cannot be imported: {reason}") from error
    if fault := _fault(found):
        raise ValueError(f"{name}: its plugin {known[name].value} {fault}")
    technique: type[Technique] = found
    return technique


def _fault(found: Any) -> str:
    """What keeps it from being a technique, "" where nothing does."""
    if not (isinstance(found, type) and issubclass(found, Technique)):
        return "is no bakeoff.variants.Technique"
    lacking = [name for name in ("name", "about") if not isinstance(getattr(found, name, None), str)]
    lacking += sorted(found.__abstractmethods__)
    if lacking:
        return f"lacks {' and '.join(lacking)}"
    return "" if is_dataclass(found) else "is no dataclass; put @dataclass(frozen=True, slots=True) above it"
