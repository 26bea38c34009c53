"""A scenario's definition as a committed file may hold it: paths as they read from the project's root."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from bakeoff.nightly import project

_PROJECT = "project:"
"""What a path begins with that reads from the root; of all others the name alone is told."""
_ANY = "*"
_PATHS = (
    ("source",),
    ("workload",),
    ("variants", _ANY),
    ("requests", "file"),
    ("traffic", "trace", "file"),
    ("candidates", "environments", _ANY, "python"),
    ("candidates", "endpoints", _ANY, "ca_file"),
)
"""Where a definition holds paths, or what may be one."""


def portable(definition: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The definition without a trace of this machine."""

    def change(text: str) -> str:
        if not PurePath(text).is_absolute():
            return text
        path = project.relative(Path(text), root)
        return PurePath(text).name if path is None else _PROJECT + path

    return _changed(definition, change)


def located(definition: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What `portable` wrote, in the project at `root`."""
    return _changed(definition, lambda text: _in(text, root))


def _in(text: str, root: Path) -> str:
    return os.path.normpath(root.resolve() / text.removeprefix(_PROJECT)) if text.startswith(_PROJECT) else text


def _changed(definition: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    found: Any = dict(definition)
    for path in _PATHS:
        found = _at(found, path, change)
    return dict(found)


def _at(value: Any, path: tuple[str, ...], change: Callable[[str], str]) -> Any:
    """A copy of the value with the text at `path` changed, where there is one."""
    if not path:
        return change(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    keys = value if path[0] == _ANY else value.keys() & {path[0]}
    return {**value, **{key: _at(value[key], path[1:], change) for key in keys}}
