import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bakeoff.scenario import json_schema

DEMOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def properties(node, path="") -> Iterator[tuple[str, dict]]:
    if isinstance(node, dict):
        for group in ("properties", "patternProperties"):
            for key, below in node.get(group, {}).items() if isinstance(node.get(group), dict) else ():
                yield f"{path}.{key}", below
        for key, below in node.items():
            if key not in ("if", "then"):
                yield from properties(below, f"{path}.{key}")
    if isinstance(node, list):
        for index, below in enumerate(node):
            yield from properties(below, f"{path}[{index}]")


def test_every_key_is_described():
    bare = [path for path, node in properties(json_schema()) if "description" not in node and "$ref" not in node]
    described_by_the_mapping = [path for path in bare if "^[A-Za-z0-9]" in path]
    assert bare == described_by_the_mapping


def test_the_generator_gets_a_core_unless_there_is_but_one():
    cpus = json_schema()["$defs"]["Resources"]["properties"]["cpus"]["description"]
    assert "but one, which the load generator gets" in cpus


def test_the_schema_speaks_of_what_a_person_writes():
    schema = json_schema()
    traffic = schema["$defs"]["Traffic"]["properties"]
    assert traffic["duration"]["type"] == "string"
    assert re.search(traffic["duration"]["pattern"], "20ms")
    assert "duration_s" not in traffic
    assert traffic["batch_size"]["anyOf"][0]["type"] == "integer"
    (percentile,) = schema["$defs"]["Sla"]["patternProperties"]
    assert [bool(re.search(percentile, key)) for key in ("p50", "p99", "p99.9", "p49", "p100", "p5")] == [
        1,
        1,
        1,
        0,
        0,
        0,
    ]
    assert list(schema["$defs"]["Sla"]["properties"]) == ["error_rate"]
    assert "source" not in schema["properties"]
    assert schema["properties"]["price"]["type"] == "string"
    assert schema["properties"]["matters"]["default"] == "2%"


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("server", {"sla", "qps"}), ("constant", {"sla", "qps"}), ("burst", {"sla", "qps"}),
        ("trace", {"sla", "trace"}),
        ("single_stream", set()), ("multi_stream", set()), ("offline", set()),
    ],
)  # fmt: skip
def test_what_each_kind_of_traffic_requires(kind, needed):
    required = set()
    for rule in json_schema()["allOf"]:
        if kind in rule["if"]["properties"]["traffic"]["properties"]["kind"]["enum"]:
            below = rule["then"].get("properties", {}).get("traffic", {})
            required |= {*rule["then"].get("required", ()), *below.get("required", ())}
    assert required == needed


@pytest.mark.parametrize("path", DEMOS, ids=lambda path: path.stem)
def test_the_demos_use_known_keys_alone(path):
    demo, schema = yaml.safe_load(path.read_text()), json_schema()
    assert demo.keys() <= schema["properties"].keys()
    assert demo["traffic"].keys() <= schema["$defs"]["Traffic"]["properties"].keys()
    assert schema["additionalProperties"] is False
