"""The JSON Schema of a scenario file: what a person writes, for editors, and the source of the known keys in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from bakeoff.scenario.model import Scenario
from bakeoff.scenario.sla import PERCENTILE_PATTERN
from bakeoff.scenario.traffic import OPEN_LOOP, OWN_RATE
from bakeoff.scenario.wording import KeyPath

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def _schema() -> dict[str, Any]:
    return Scenario.model_json_schema(by_alias=True, mode="validation")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario file."""
    return {
        "$schema": _DIALECT,
        **_schema(),
        "title": "bakeoff scenario",
        "anyOf": [{"required": ["workload"]}, {"required": ["variants"]}],
        "allOf": [
            _where(OPEN_LOOP, {"required": ["sla"]}),
            _where(
                [kind for kind in OPEN_LOOP if kind != OWN_RATE], {"properties": {"traffic": {"required": ["qps"]}}}
            ),
            _where([OWN_RATE], {"properties": {"traffic": {"required": ["trace"]}}}),
        ],
    }


def _where(kinds: Sequence[str], then: dict[str, Any]) -> dict[str, Any]:
    """What holds for traffic of these kinds."""
    traffic = {"properties": {"kind": {"enum": list(kinds)}}, "required": ["kind"]}
    return {"if": {"properties": {"traffic": traffic}, "required": ["traffic"]}, "then": then}


def known_keys(path: KeyPath) -> list[str]:
    """The keys that a mapping at `path` may hold; percentiles by their usual names."""
    keys: list[str] = []
    for node in _nodes(path):
        keys += node.get("properties", {})
        keys += ["p50", "p90", "p95", "p99"] if PERCENTILE_PATTERN in node.get("patternProperties", {}) else []
    return keys


def example(path: KeyPath) -> Any:
    """A right value for the key at `path`, or None where the schema has none."""
    return next((node["examples"][0] for node in _nodes(path) if "examples" in node), None)


def _nodes(path: KeyPath) -> list[dict[str, Any]]:
    """The schemas, references and alternatives unfolded, that apply to the value at `path`."""
    nodes = list(_unfold(_schema()))
    for key in path:
        nodes = [each for node in nodes for below in _below(node, key) for each in _unfold(below)]
    return nodes


def _below(node: dict[str, Any], key: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(key, int):
        yield node.get("items", {})
        return
    if key in node.get("properties", {}):
        yield node["properties"][key]
    elif isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    yield from (below for pattern, below in node.get("patternProperties", {}).items() if re.search(pattern, key))


def _unfold(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    if "$ref" in node:
        yield from _unfold(_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for alternative in node.get("anyOf", ()):
        yield from _unfold(alternative)
