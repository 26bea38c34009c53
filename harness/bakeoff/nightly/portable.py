"""A scenario's definition as a committed file may hold it: paths as they read from the project's root, no secrets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from packaging.requirements import Requirement

from bakeoff.errors import UserError
from bakeoff.nightly import project
from bakeoff.nightly.addresses import without_secrets

_PROJECT = "project:"
"""What a path begins with that reads from the root."""
_FILE = "file"
_ANY = "*"
_SOURCE = "source"
_PATHS = (
    ("workload",),
    ("variants", _ANY),
    ("requests", "file"),
    ("traffic", "trace", "file"),
    ("candidates", "environments", _ANY, "python"),
    ("candidates", "endpoints", _ANY, "ca_file"),
)
"""Where a definition holds paths, or what may be one."""
_REQUIREMENTS = ("candidates", "environments", _ANY, "requirements", _ANY)

_Change = Callable[[str], str]


def portable(definition: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The definition without a trace of this machine, and without the place of its own file where that lies elsewhere.

    Raises UserError for a file outside of the project, which no other machine would find, and for an address with what
    may be a secret.
    """

    def change(text: str) -> str:
        return _from_root(Path(text), root) if PurePath(text).is_absolute() else text

    found, source = _changed(definition, change, lambda line: _shareable(line, root)), definition.get(_SOURCE)
    inside = source and project.relative(Path(source), root)
    return found | {_SOURCE: _PROJECT + inside if inside else None}


def located(definition: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What `portable` wrote, in the project at `root`."""

    def place(text: str) -> str:
        return _at_root(text.removeprefix(_PROJECT), root) if text.startswith(_PROJECT) else text

    def line(text: str) -> str:
        asked = Requirement(text)
        kind, mark, path = (asked.url or "").partition(_PROJECT)
        asked.url = f"{kind}file://{quote(_at_root(unquote(path), root), safe='/@#&=')}" if mark else asked.url
        return str(asked)

    found = _changed(definition, place, line)
    return found | {_SOURCE: found.get(_SOURCE) and place(found[_SOURCE])}


def _from_root(path: Path, root: Path) -> str:
    inside = project.relative(path, root)
    if inside is None:
        raise UserError(f"{path}: lies outside of the project ({root}), where no other machine finds it; bring it in")
    return _PROJECT + inside


def _at_root(path: str, root: Path) -> str:
    """Absolute; links stay, for an environment's interpreter is one."""
    return os.path.normpath(root / path)


def _shareable(line: str, root: Path) -> str:
    """A requirement whose address, where it has one, may be told."""
    asked = Requirement(line)
    if asked.url is None:
        return line
    url = urlsplit(asked.url)
    kind, _, scheme = url.scheme.rpartition("+")
    if scheme == _FILE:
        inside = quote(_from_root(Path(unquote(url.path)), root).removeprefix(_PROJECT), safe="/@")
        asked.url = (kind and f"{kind}+") + _PROJECT + inside + (url.fragment and f"#{url.fragment}")
    elif urlunsplit(url) != without_secrets(url):
        where = f"a requirement, {asked.name} @ {without_secrets(url)}"
        raise UserError(f"{where}: has a user, a password or a query, which a pin does not hold; keep it in ~/.netrc")
    return str(asked)


def _changed(definition: Mapping[str, Any], path: _Change, requirement: _Change) -> dict[str, Any]:
    found: Any = dict(definition)
    for where, change in [*((each, path) for each in _PATHS), (_REQUIREMENTS, requirement)]:
        try:
            found = _at(found, where, change)
        except UserError as error:
            raise UserError(f"{definition.get('name')}: {'.'.join(where).replace('.*', '')}: {error}") from None
    return dict(found)


def _at(value: Any, path: tuple[str, ...], change: _Change) -> Any:
    """A copy of the value with the text at `path` changed, where there is one."""
    if not path:
        return change(value) if isinstance(value, str) else value
    if isinstance(value, list | tuple) and path[0] == _ANY:
        return [_at(each, path[1:], change) for each in value]
    if not isinstance(value, Mapping):
        return value
    keys = value if path[0] == _ANY else value.keys() & {path[0]}
    return {**value, **{key: _at(value[key], path[1:], change) for key in keys}}
