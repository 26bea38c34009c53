"""A small, strict YAML: mappings, lists and plain values in one bounded UTF-8 document.

Anchors, aliases, tags, repeated keys, several documents, NaN and infinity are refused, and so is anything large or
deep: a scenario needs none of them, and each has cost somebody a wrong reading or a hung process. Plain words follow
YAML 1.2's core schema, so `no`, `1:30` and `2026-01-01` stay text.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from bakeoff.scenario.wording import KeyPath, complaint, shortened

MAX_BYTES = 1_000_000
MAX_DEPTH = 16
MAX_VALUES = 10_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read(path: Path) -> Any:
    """The one document in the file, as dicts, lists, text, numbers, booleans and None; raises UserError."""
    return parse(_text(path), str(path))


def parse(text: str, label: str) -> Any:
    """The one document in `text`; `label` names it in errors."""
    return _Builder(text, label).document()


def _text(path: Path) -> str:
    label = str(path)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise complaint(label, (), "is not a file" if not path.is_dir() else "is a folder, not a scenario file")
        if facts.st_size > MAX_BYTES:
            raise complaint(label, (), f"has {facts.st_size:,} bytes; a scenario has at most {MAX_BYTES:,}")
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise complaint(label, (), "is not UTF-8 text; a scenario is a YAML text file") from None
    except FileNotFoundError:
        raise complaint(label, (), "no such file") from None
    except (OSError, ValueError) as error:
        raise complaint(label, (), f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


class _Builder:
    """Builds values from the parser's events, which come one at a time, so that a bound stops a bomb early."""

    def __init__(self, text: str, label: str) -> None:
        self.events = self._events(text)
        self.label = label
        self.values = 0

    def document(self) -> Any:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            self._refuse((), None, "is empty; a scenario has at least a workload and its traffic")
        value = self._value(next(self.events), ())
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse((), event, "holds several documents (---); keep one scenario per file")
        return value

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"line {mark.line + 1}: " if mark else ""
            raise complaint(self.label, (), f"{place}is not valid YAML: {error.problem or error.context}") from None
        except yaml.YAMLError as error:
            problem = getattr(error, "reason", None) or "unreadable"
            raise complaint(self.label, (), f"is not valid YAML: {problem}") from None

    def _value(self, event: yaml.Event, path: KeyPath) -> Any:
        self._check(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, yaml.ScalarEvent)
        return event.value if event.style else self._plain(event, path)

    def _check(self, event: yaml.Event, path: KeyPath) -> None:
        self.values += 1
        if anchor := getattr(event, "anchor", None):
            sign, kind = ("*", "aliases") if isinstance(event, yaml.AliasEvent) else ("&", "anchors")
            self._refuse(path, event, f"{sign}{shortened(anchor)}: {kind} are not allowed; write the value out")
        if tag := getattr(event, "tag", None):
            self._refuse(path, event, f"{shortened(tag)}: tags are not allowed; write the plain value")
        if len(path) > MAX_DEPTH:
            self._refuse(path[:2], event, f"is nested more than {MAX_DEPTH} levels deep")
        if self.values > MAX_VALUES:
            self._refuse(path[:2], event, f"the file holds more than {MAX_VALUES:,} values")

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            self._check(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(path, event, "a key must be a word, not a list or a mapping")
            if not event.style and not isinstance(self._plain(event, path), str):
                self._refuse((*path, event.value), event, "a key must be a word, not a number or nothing")
            key = event.value
            if key in mapping:
                self._refuse((*path, key), event, "occurs twice; keep one")
            mapping[key] = self._value(next(self.events), (*path, key))
        return mapping

    def _sequence(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*path, len(values))))
        return values

    def _plain(self, event: yaml.ScalarEvent, path: KeyPath) -> Any:
        text: str = event.value
        if text in _NULL:
            return None
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        if _INTEGER.fullmatch(text) and len(text) <= 20:
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        if _NOT_FINITE.fullmatch(text) or _FLOAT.fullmatch(text):
            self._refuse(path, event, f"{text[:20]}: must be a finite number")
        return text

    def _refuse(self, path: KeyPath, event: yaml.Event | None, message: str) -> NoReturn:
        mark = event.start_mark if event else None
        place = f" (line {mark.line + 1})" if mark else ""
        raise complaint(self.label, path, message + place)
