"""Environments of candidates' own: rivals that cannot share one, or two versions of one engine, meet in one run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from bakeoff.scenario.fields import Part, Reading, as_tuple, fault

APART = "@"
"""Stands between a backend's name and that of the environment which it is tried in, too."""
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9_.-]*$"
_NAME = re.compile(NAME_PATTERN)
_OPERATORS = {
    "==": "",
    "===": "",
    ">=": "from-",
    ">": "above-",
    "<=": "to-",
    "<": "below-",
    "~=": "like-",
    "!=": "not-",
}


def _requirement(value: str) -> str:
    try:
        return str(Requirement(value))
    except InvalidRequirement:
        raise ValueError(f"{value}: must be a requirement as pip takes it, such as onnxruntime==1.30.0") from None


def _interpreter(value: Any, info: ValidationInfo) -> Any:
    if value is None or Reading.of(info).restored:
        return value
    if not isinstance(value, str):
        raise ValueError("must be the path of a Python interpreter")
    path = (Reading.of(info).folder / Path(value).expanduser()).absolute()
    if not path.is_file():
        raise ValueError(f"no such file (looked for {path})")
    return str(path)


class Environment(Part):
    """Where a backend is tried beside this environment: an interpreter that is there, or requirements."""

    python: Annotated[str | None, BeforeValidator(_interpreter)] = Field(
        default=None, description="A Python interpreter whose environment has the engine and numpy."
    )
    requirements: Annotated[
        tuple[Annotated[str, AfterValidator(_requirement)], ...], Field(max_length=50), BeforeValidator(as_tuple)
    ] = Field(
        default=(),
        description="What uv installs into an environment that is made once and kept, with what the backend needs.",
        examples=[["onnxruntime==1.30.0"]],
        json_schema_extra={"default": []},
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Environment:
        if (self.python is None) == (not self.requirements):
            raise fault("must have python (an interpreter's path) or requirements, one of the two")
        return self


def check_name(name: str) -> str:
    """The name as it is; raises ValueError unless it reads as backend@name."""
    if not _NAME.match(name):
        raise ValueError(f"{name}: must be a backend and a name of yours, as in onnxruntime@1.30")
    return name


def named(backend: str, requirement: str) -> str:
    """How a backend is called with another version of its engine: "onnxruntime@1.30.0", "torch@from-2.9-below-3"."""
    asked = sorted(Requirement(requirement).specifier, key=lambda each: each.version)
    words = "-".join(_OPERATORS[each.operator] + each.version for each in asked) or "newest"
    return backend + APART + re.sub(r"[^A-Za-z0-9_.-]+", "-", words).strip("-.")
