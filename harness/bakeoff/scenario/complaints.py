"""From pydantic's errors to one line that a person can act on."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bakeoff.errors import UserError
from bakeoff.scenario.schema import example, known_keys
from bakeoff.scenario.wording import KeyPath, complaint, shown

_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument", "unknown_key"}
_MAPPING = {"model_type", "dict_type", "arguments_type", "model_attributes_type"}
_ABSENT = object()


def first_complaint(label: str, error: ValidationError) -> UserError:
    """The first of the errors, an unknown key before all others, and how many more there are."""
    details = error.errors(include_url=False, include_context=True)
    first = min(details, key=lambda each: each["type"] not in _UNKNOWN)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    path, value, message = _parts(first)
    quoted = f"{shown(value)}: " if value is not _ABSENT else ""
    return complaint(label, path, quoted + message + more)


def _parts(error: ErrorDetails) -> tuple[KeyPath, Any, str]:
    context = error.get("ctx", {})
    path: KeyPath = (*error["loc"], *context.get("key", ()))
    path = tuple(key for key in path if key != "[key]")
    value = error["input"]
    for key in context.get("key", ()):
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    if error["type"] in _UNKNOWN:
        return path, _ABSENT, _unknown(path)
    if error["type"] == "missing":
        return path, _ABSENT, "missing" + _as_in(path)
    if error["type"] in _MAPPING:
        return path, value, "must be a mapping of keys" + _as_in(path)
    if error["type"] == "fault":
        return path, value, str(context["message"])
    if error["type"] == "value_error":
        return path, value, str(context["error"])
    return path, value, _plain(error["msg"]) + _as_in(path)


def _unknown(path: KeyPath) -> str:
    known = known_keys(path[:-1])
    near = get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(known)}"


def _plain(message: str) -> str:
    return (
        message.replace("Input should be", "must be").replace("String should", "must").replace("Tuple should", "must")
    )


def _as_in(path: KeyPath) -> str:
    right = example(path)
    if right is None:
        return ""
    return f", as in {path[-1]}: {_flow(right)}"


def _flow(value: Any) -> str:
    """A value as YAML's flow style writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
