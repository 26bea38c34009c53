"""The parent's side of variants that techniques make: whether a recipe can be meant, and what its result is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from bakeoff import variants
from bakeoff.errors import UserError
from bakeoff.imports import imports
from bakeoff.scenario.recipe import Recipe

MAKING = Path(__file__).with_name("compressing.py")
"""What shows techniques their examples and trains for them."""


def check(recipes: Iterable[str], where: str) -> None:
    """Raise UserError where a recipe names no technique, or a parameter that it cannot have."""
    for text in recipes:
        try:
            variants.techniques(Recipe.parse(text))
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None


def made_name(recipe: str) -> str:
    """A folder's name for what a recipe makes: it changes with the code that decides it, ours or a plugin's."""
    digest, known = hashlib.sha256(recipe.encode()), variants.registered()
    digest.update(MAKING.read_bytes())
    for step in Recipe.parse(recipe).steps:
        point = known[step.name]
        digest.update(f"{point.value} {point.dist.version if point.dist else ''}".encode())
        spec = find_spec(point.module)
        if spec and spec.origin:
            for path in sorted(imports(Path(spec.origin), point.module.rpartition(".")[0])):
                digest.update(path.read_bytes())
    return f"{re.sub(r'[^a-z0-9.]+', '-', recipe)[:60]}-{digest.hexdigest()[:12]}"
