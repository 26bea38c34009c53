"""Values as every database takes them: JSON without NaN, text without NUL, time as sortable ISO text in UTC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate


def now_text() -> str:
    """The present moment, in UTC with microseconds, so that text order is time order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def time_text(at: datetime | None) -> str:
    """A moment as `now_text` writes it; None is now, and a naive time is taken as local."""
    return now_text() if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")


def text(value: str) -> str:
    """Text that UTF-8 and PostgreSQL accept: what they refuse becomes a replacement character."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def plain(value: Any) -> Any:
    """A value as strict JSON: mappings and sequences walked, numpy scalars unwrapped, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return text(str(value))


def number(value: float) -> float | None:
    """A float column's value; NaN, which databases treat differently, is stored as null."""
    return float(value) if math.isfinite(value) else None


def nan(value: float | None) -> float:
    """What `number` stored, as it was."""
    return math.nan if value is None else value


def candidate_definition(candidate: Candidate) -> dict[str, Any]:
    """A candidate as JSON, from which `candidate_from` makes it again."""
    return {**asdict(candidate), "setting": {**asdict(candidate.setting), "options": dict(candidate.setting.options)}}


def candidate_from(definition: Mapping[str, Any]) -> Candidate:
    """The candidate that `candidate_definition` described."""
    return Candidate(**{**definition, "setting": Setting.of(definition["setting"])})
