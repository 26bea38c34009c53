"""A real question to measure with: the shop's ranking model of scenarios/ctr-ranking.yaml, and its engines built.

The first use downloads and trains it, which takes minutes; it is kept in bakeoff's cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakeoff.contest import artifacts, fleet
from bakeoff.contest.contest import ask
from bakeoff.contest.plan import Entry, Question
from bakeoff.measure import host
from bakeoff.measure.engine_room import Order
from bakeoff.scenario import Scenario, load_scenarios, override, restore

SCENARIO = Path(__file__).resolve().parents[3] / "scenarios" / "ctr-ranking.yaml"
ENGINE = "onnxruntime/fp32/1x1"
ENGINES = (ENGINE, "openvino/fp32/1x1", "torch/fp32/1x1", "torch-compile/fp32/1x1")


def scenario(**changes: Any) -> Scenario:
    """The scenario without an incumbent or a quality to judge, so that its time goes into measuring latency.

    `changes` are parts of its definition: mappings are merged with its own.
    """
    definition = load_scenarios([SCENARIO])[0].definition() | {"incumbent": None, "quality": {}}
    for key, value in changes.items():
        definition[key] = definition[key] | value if isinstance(value, Mapping) else value
    return restore(definition)


def question(candidates: Sequence[str], batch_size: int | None = None, **changes: Any) -> Question:
    """The scenario with these candidates alone, built."""
    backends = tuple(dict.fromkeys(name.partition("/")[0] for name in candidates))
    narrowed = override(scenario(**changes), backends=backends, batch_size=batch_size)
    asked = ask([narrowed], candidates=candidates)[0]
    for entry in asked.entries:
        build(asked, entry)
    return asked


def build(asked: Question, entry: Entry) -> Path:
    """Where the entry's artifact lies; built where it was not."""
    place = artifacts.folder(asked.prepared, entry, " ".join(host.cpu_flags()), run="")
    artifacts.made(asked.prepared, entry, place, Path(os.devnull))
    return place


def order(asked: Question, name: str, folder: Path) -> Order:
    """What a run would start the candidate with; its output goes to `folder`."""
    entry = next(each for each in asked.entries if each.candidate.id == name)
    return fleet.order(asked, name, build(asked, entry), folder / f"{name.replace('/', '_')}.log")
