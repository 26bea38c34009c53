"""Scenarios from files, and back from the store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bakeoff.scenario import strict_yaml
from bakeoff.scenario.complaints import first_complaint
from bakeoff.scenario.fields import Reading
from bakeoff.scenario.model import Scenario
from bakeoff.scenario.wording import complaint, shown

SUFFIXES = (".yaml", ".yml")


def load_scenario(path: str | Path) -> Scenario:
    """The scenario in a YAML file, paths in it taken from its folder; raises UserError with one line."""
    path = Path(path)
    data = strict_yaml.read(path)
    if not isinstance(data, dict):
        raise complaint(str(path), (), f"{shown(data)}: must be a mapping of keys such as workload, traffic and sla")
    scenario = from_dict({"name": file_name(path.stem)} | data, label=str(path), folder=path.parent)
    return scenario.from_file(path.absolute())


def from_dict(data: dict[str, Any], label: str = "scenario", folder: Path | None = None) -> Scenario:
    """A scenario from what a file would hold; `label` names it in errors, `folder` is where its paths start."""
    try:
        return Scenario.model_validate(data, context=Reading(folder or Path()))
    except ValidationError as error:
        raise first_complaint(label, error) from None


def restore(definition: dict[str, Any], label: str = "stored scenario") -> Scenario:
    """The scenario whose `definition()` was stored. Its files need not be there any more."""
    values = dict(definition)
    source = values.pop("source", None)
    try:
        scenario = Scenario.model_validate(values, context=Reading(restored=True), by_name=True, by_alias=False)
    except ValidationError as error:
        raise first_complaint(label, error) from None
    return scenario.from_file(Path(source)) if source else scenario


def find(paths: Iterable[str | Path]) -> list[Path]:
    """The scenario files: each folder stands for the .yaml and .yml files in it, by name; each file is listed once."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        try:
            found |= dict.fromkeys(_in_folder(path) if path.is_dir() else [path])
        except OSError as error:
            raise complaint(str(path), (), f"cannot be read: {error.strerror}") from None
    return list(found)


def load_scenarios(paths: Iterable[str | Path]) -> list[Scenario]:
    """The scenarios of all the files that `find` gives; raises UserError where two have one name."""
    scenarios: dict[str, Scenario] = {}
    for path in find(paths):
        scenario = load_scenario(path)
        if scenario.name in scenarios:
            raise complaint(str(path), ("name",), f"{scenario.name}: taken by {scenarios[scenario.name].source}")
        scenarios[scenario.name] = scenario
    return list(scenarios.values())


def file_name(stem: str) -> str:
    """A file's stem as a scenario's name: what a name may not hold becomes a dash."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:64] or "scenario"


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    if not files:
        raise complaint(str(folder), (), "holds no scenario (.yaml or .yml)")
    return files
