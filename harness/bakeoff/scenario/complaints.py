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
_OURS = {"fault": "message", "value_error": "error"}
_PYDANTICS_KEY = "[key]"  # ends the path of an error in a mapping's key
_ABSENT = object()
_WORD = "a name has letters, digits, dots, dashes, _ and @, and at most 64 of them"
_PHRASES = {
    "Input should be a valid tuple": "must be a list",
    "Input should be a valid string": "must be text",
    "Input should be a valid integer": "must be a whole number",
    "Input should be a valid number": "must be a number",
    "Input should be": "must be",
    "String should": "must",
    "Tuple should": "must",
    " after validation, not 0": "",
}


def first_complaint(label: str, error: ValidationError) -> UserError:
    """The first of the errors, an unknown key before all others, and how many more there are."""
    details = error.errors(include_url=False)
    first = min(details, key=lambda each: each["type"] not in _UNKNOWN)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    path, value = _place(first)
    unquoted = (
        value is _ABSENT
        or first["type"] in _UNKNOWN | {"missing"}
        or (value is None and first["type"] == "fault")
        or not first.get("ctx", {}).get("shown", True)
    )
    quoted = "" if unquoted else f"{shown(value)}: "
    return complaint(label, path, quoted + _message(first, path) + more)


def _place(error: ErrorDetails) -> tuple[KeyPath, Any]:
    """The path of the key that is at fault, and what it holds."""
    below: KeyPath = error.get("ctx", {}).get("key", ())
    value = error["input"]
    for key in below:
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    return tuple(key for key in (*error["loc"], *below) if key != _PYDANTICS_KEY), value


def _message(error: ErrorDetails, path: KeyPath) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _UNKNOWN:
        return _unknown(path)
    if kind == "missing":
        return "missing" + _as_in(path)
    if kind in _MAPPING:
        right = "a list" if isinstance(example(path), list) else "a mapping of keys"
        return f"must be {right}{_as_in(path)}"
    if kind in _OURS:
        return str(context[_OURS[kind]])
    if kind == "string_pattern_mismatch":
        return "is not of the right form" + (_as_in(path) or f"; {_WORD}")
    return _plain(error["msg"]) + _as_in(path)


def _unknown(path: KeyPath) -> str:
    known = known_keys(path[:-1])
    near = get_close_matches(str(path[-1]), known, n=1, cutoff=0.55)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(known)}"


def _plain(message: str) -> str:
    for pydantics, ours in _PHRASES.items():
        message = message.replace(pydantics, ours)
    return message


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
