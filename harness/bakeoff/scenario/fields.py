"""The field types of a scenario: what a person writes ("20ms"), what the program holds (20.0), and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from bakeoff.scenario import units
from bakeoff.scenario.recipe import BASE, Recipe

MODEL_SUFFIXES = (".onnx", ".pt2")
REQUEST_SUFFIXES = (".parquet", ".npz")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_BUILT_IN = re.compile(r"[a-z][a-z0-9-]*(:[a-z][a-z0-9_-]*=[A-Za-z0-9_.-]+)*")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a scenario is being read: paths start from `folder`; `restored` values are already in the program's units."""

    folder: Path = field(default_factory=Path)
    restored: bool = False

    @classmethod
    def of(cls, info: ValidationInfo) -> Reading:
        """The reading that validation was started with; a person's own dict, relative to here, by default."""
        return info.context if isinstance(info.context, Reading) else cls()


class Part(BaseModel):
    """A part of a scenario: frozen, no unknown keys, no silent conversions, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, title=None)


def written(convert: Callable[[Any], Any]) -> BeforeValidator:
    """Converts what a person wrote; leaves restored values as they are."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        return value if value is None or Reading.of(info).restored else convert(value)

    return BeforeValidator(validate)


def fault(message: str, *key: str | int, shown: bool = True) -> PydanticCustomError:
    """An error in the part being validated, or in the key below it, with what would be right; what was written is
    quoted unless it is not to be `shown`."""
    return PydanticCustomError("fault", "{message}", {"message": message, "key": key, "shown": shown})


def is_factory(reference: str) -> bool:
    """Whether it reads as package.module:factory."""
    return _FACTORY.fullmatch(reference) is not None


def is_model(reference: str) -> bool:
    """Whether `bakeoff run` should take an argument for a model (a .onnx or .pt2 file, a factory), not a scenario."""
    return Path(reference).suffix in MODEL_SUFFIXES or is_factory(reference)


def existing(reference: Any, folder: Path, suffixes: tuple[str, ...], what: str) -> Path:
    """The file that `reference` names, absolute, taken from `folder`; raises ValueError where there is none."""
    if not isinstance(reference, str) or Path(reference).suffix not in suffixes:
        raise ValueError(f"must be {what} ({' or '.join(suffixes)})")
    path = (folder / reference).absolute()
    try:
        found = path.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise ValueError(f"no such file (looked for {path})")
    return path


def _model_file(value: Any, info: ValidationInfo) -> Any:
    reading = Reading.of(info)
    return value if reading.restored else str(existing(value, reading.folder, MODEL_SUFFIXES, "a model file"))


def _variant(value: Any, info: ValidationInfo) -> Any:
    """A recipe as it is; anything else is a model file, made absolute."""
    try:
        return str(Recipe.parse(value))
    except (ValueError, AttributeError):
        return _model_file(value, info)


def _by_name(value: Any) -> Any:
    """A list of recipes and of files by name, as one mapping; a recipe is its own name."""
    if not isinstance(value, list):
        return value
    found: dict[str, Any] = {}
    for each in value:
        if isinstance(each, str):
            recipe = str(Recipe.parse(each))
            found |= {} if recipe == BASE else {recipe: recipe}
        elif isinstance(each, dict):
            found |= each
        else:
            raise ValueError("must hold recipes such as prune:0.5, and files of yours as in {student: student.onnx}")
    return found


def _request_file(value: Any, info: ValidationInfo) -> Any:
    reading = Reading.of(info)
    if reading.restored:
        return Path(value)
    return existing(value, reading.folder, REQUEST_SUFFIXES, "a file of requests")


def workload_reference(value: Any, folder: Path) -> str:
    """A built-in workload's name or a factory as it is, a model file made absolute; raises ValueError for the rest."""
    if isinstance(value, str) and Path(value).suffix in MODEL_SUFFIXES:
        return str(existing(value, folder, MODEL_SUFFIXES, "a model file"))
    if isinstance(value, str) and (_BUILT_IN.fullmatch(value) or is_factory(value)):
        return value
    raise ValueError(
        "must be a built-in workload such as ctr-dlrm, a model file (.onnx or .pt2), or package.module:factory"
    )


def _workload(value: Any, info: ValidationInfo) -> Any:
    reading = Reading.of(info)
    return value if value is None or reading.restored else workload_reference(value, reading.folder)


def as_tuple(value: Any) -> Any:
    """A list as the tuple that a frozen part holds."""
    return tuple(value) if isinstance(value, list) else value


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_DURATION = _text(units.DURATION_PATTERN, "20ms")


Seconds = Annotated[float, written(units.seconds), _text(units.DURATION_PATTERN, "4s")]
Milliseconds = Annotated[float, written(units.milliseconds), _DURATION]
Wait = Annotated[float, written(units.wait_ms), _text(units.DURATION_PATTERN, "2ms")]
ConvertedMilliseconds = Annotated[float, _DURATION]
Bytes = Annotated[int, written(units.size_bytes), _text(units.SIZE_PATTERN, "2GiB")]
Fraction = Annotated[float, written(units.fraction), _text(units.PERCENT_PATTERN, "2%")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
Words = Annotated[tuple[Word, ...], Field(min_length=1), BeforeValidator(as_tuple)]
VariantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:=+-]{0,199}$")]
VariantSource = Annotated[
    str,
    BeforeValidator(_variant),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["student.onnx", "prune:0.5", "distill > int8"]}),
]
Variants = Annotated[dict[VariantName, VariantSource], BeforeValidator(_by_name)]
RequestFile = Annotated[
    Path, BeforeValidator(_request_file), WithJsonSchema({"type": "string", "pattern": r"\.(parquet|npz)$"})
]
WorkloadReference = Annotated[
    str | None,
    BeforeValidator(_workload),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["ctr-dlrm", "model.onnx", "shop.models:ranker"]}),
]
