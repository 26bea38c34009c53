"""How a variant is asked for: techniques with their parameters, one after the other.

    prune:0.5    lowrank:16:finetune=0.25    distill > embed-int8    distill:0.5 > int8-dynamic

A step is a technique's name, then its parameters behind colons: the main one alone, the others by name. The last step
of a chain may be a precision, which an engine gives and no technique. `+` stands for `>` where a shell would mind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PRECISIONS = (
    "fp32",
    "tf32",
    "bf16",
    "fp16",
    "int8-dynamic",
    "int8-static",
    "int8-mixed",
    "int8-weight-only",
    "int4-weight-only",
)
"""What engines call their precisions; a recipe that ends with one is a variant at that precision alone."""
ALIASES = {"int8": "int8-dynamic"}
BASE = "base"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_VALUE = re.compile(r"-?[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_SEPARATOR = re.compile(r"\s*[>+]\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """One technique with its parameters as they were written; `value` is the main one, "" where it is left out."""

    name: str
    value: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        named = [f"{key}={value}" for key, value in self.options.items()]
        return ":".join([self.name, *([self.value] if self.value else []), *named])

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read "lowrank:16:finetune=0.25"; raises ValueError with what would be right."""
        name, *parts = text.split(":")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{text!r} must begin with a name, as in prune:0.5")
        value, options = "", dict[str, str]()
        for place, part in enumerate(parts):
            key, equals, given = part.partition("=")
            word = given if equals else part
            if not _VALUE.fullmatch(word) or (equals and not _NAME.fullmatch(key)) or (not equals and place):
                raise ValueError(f"{text!r}: {part!r} must be a value, or key=value, as in lowrank:16:finetune=0.25")
            if equals:
                options[key] = given
            else:
                value = part
        return cls(name, value, options)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The techniques of a variant in order, none for the base; `precision` pins the engine's, None leaves it open."""

    steps: tuple[Step, ...] = ()
    precision: str | None = None

    @property
    def name(self) -> str:
        """The variant's name where it has no other: "distill:0.5+embed-int8", or "base"."""
        return "+".join(map(str, self.steps)) or BASE

    def __str__(self) -> str:
        """As it may be written again."""
        return "+".join([*map(str, self.steps), *([self.precision] if self.precision else [])]) or BASE

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read "distill > int8"; raises ValueError with what would be right."""
        words = _SEPARATOR.split(text.strip())
        steps = [Step.parse(word) for word in words]
        last = ALIASES.get(words[-1], words[-1])
        precision = last if last in PRECISIONS else None
        steps = [step for step in (steps[:-1] if precision else steps) if str(step) != BASE]
        for step in steps:
            if ALIASES.get(step.name, step.name) in PRECISIONS:
                raise ValueError(f"{text!r}: {step.name} is a precision, which an engine gives: it comes last, alone")
        return cls(tuple(steps), precision)
