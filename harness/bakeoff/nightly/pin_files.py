"""Pins as committed files, results/baseline/<scenario>.json: sorted and indented, so that a diff shows what moved."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bakeoff.errors import UserError
from bakeoff.nightly.pins import FORMAT, VERSION, Pin, require_reason
from bakeoff.scenario import Scenario, restore
from bakeoff.scenario import find as scenario_files
from bakeoff.scenario.loading import SUFFIXES, file_name, load_scenario
from bakeoff.scenario.wording import complaint, shown

DEFAULT_FOLDER = Path("results/baseline")
What = str | Path | Scenario
"""What a person may name: a pinned scenario, its file, or a scenario."""
AGAIN = "bring it back from git, or delete it and run `bakeoff pin`"


def path_of(folder: Path, scenario: str) -> Path:
    """Where the pin of a scenario lies."""
    return folder / f"{scenario}.json"


def find(folder: Path, scenarios: Collection[str] = ()) -> list[Pin]:
    """The pins in a folder, by name; of `scenarios` alone where any are named, or their files, or folders of these.
    Raises UserError where one is none."""
    if scenarios:
        files = {name: file for given in scenarios for name, file in _named(folder, given)}
        return [_of(folder, name, file) for name, file in files.items()]
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"{folder}: holds no pin (SCENARIO.json); `bakeoff pin --reason TEXT` makes one")
    return [read(path) for path in paths]


def _named(folder: Path, given: str) -> list[tuple[str, Path]]:
    """The scenarios that a person names, each with its file, or where that would be; a pin's name comes first."""
    path = Path(given)
    if path.suffix not in SUFFIXES and (path_of(folder, given).exists() or not path.is_dir()):
        return [(given, Path("scenarios") / f"{given}.yaml")]
    if not path.exists():
        return [(file_name(path.stem), path)]
    return [(load_scenario(file).name, file) for file in scenario_files([path])]


def _of(folder: Path, name: str, file: Path) -> Pin:
    found = former(folder, name)
    if found is None:
        raise complaint(str(path_of(folder, name)), (), f"no such pin; `bakeoff pin {file} --reason TEXT` makes it")
    return found


def again(folder: Path, what: Sequence[What]) -> tuple[list[What], dict[str, tuple[str, ...]]]:
    """The same, with files in place of the names of pinned scenarios, and by such a name what its pin has."""
    files: list[What] = []
    pinned: dict[str, tuple[str, ...]] = {}
    for each in what:
        pin = former(folder, each) if isinstance(each, str) and not Path(each).exists() else None
        source = pin.asked().source if pin else None
        if pin and source:
            pinned[pin.name] = tuple(candidate.id for candidate in pin.candidates)
        files.append(str(source) if source else each)
    return files, pinned


def former(folder: Path, scenario: str) -> Pin | None:
    """The pin that a new one would take the place of."""
    path = path_of(folder, scenario)
    return read(path) if path.exists() else None


def read(path: Path) -> Pin:
    """The pin in a file; raises UserError with one line for what is none, or another's, or of another format."""
    values = _json(path)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise complaint(str(path), (), f'is no pin, which begins with "format": "{FORMAT}"; {AGAIN}')
    if values.get("version") != VERSION:
        told = f"{shown(values.get('version'))}: this bakeoff reads version {VERSION}"
        raise complaint(
            str(path), ("version",), f"{told}; use the one that wrote it, or delete it and run `bakeoff pin`"
        )
    try:
        pin = Pin.model_validate_json(path.read_bytes())
        restore(dict(pin.scenario), f"{path}: scenario")
    except ValidationError as error:
        raise _complaint(path, error) from None
    if pin.name != path.stem:
        raise complaint(
            str(path), ("scenario", "name"), f"{shown(pin.name)}: this file is that of {path.stem}; {AGAIN}"
        )
    return pin


def write(pin: Pin, folder: Path) -> Path:
    """Put the pin into its file, whole or not at all; raises UserError where it cannot be written."""
    require_reason(pin.reason)
    path = path_of(folder, pin.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=folder, prefix=f".{pin.name}.", suffix=".half", encoding="utf-8", delete=False
        ) as half:
            try:
                half.write(text(pin))
                half.flush()
                os.fsync(half.fileno())
                Path(half.name).chmod(0o644)
                Path(half.name).replace(path)
            except BaseException:
                Path(half.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def text(pin: Pin) -> str:
    """The file's content: keys sorted, a line for each value."""
    return json.dumps(pin.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise complaint(str(path), (), "no such pin; `bakeoff pin SCENARIO --reason TEXT` makes it") from None
    except OSError as error:
        raise complaint(str(path), (), f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise complaint(str(path), (), f"is not valid JSON ({error}); {AGAIN}") from None


def _complaint(path: Path, error: ValidationError) -> UserError:
    """The first of the errors: where, and what would be right."""
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    message = {"missing": "is missing", "extra_forbidden": "is no part of a pin"}.get(first["type"], first["msg"])
    return complaint(str(path), (*first["loc"], *context.get("key", ())), f"{context.get('message', message)}; {AGAIN}")
