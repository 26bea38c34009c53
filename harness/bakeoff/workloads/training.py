"""A workload's base model: its class found and called, its model trained and exported once, and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bakeoff.errors import UserError
from bakeoff.imports import imports
from bakeoff.scenario.recipe import Step
from bakeoff.variants.technique import counted
from bakeoff.workloads import exporting
from bakeoff.workloads.built_in import BUILT_IN
from bakeoff.workloads.locking import made_once
from bakeoff.workloads.source import Spec, code_digest
from bakeoff.workloads.workload import Progress, Trained, Workload

PLUMBING = frozenset(
    {"cache", "feed_preparation", "locking", "mortal", "pool", "preparation", "prepared", "raw_form"}
    | {"source", "tower_preparation", "wide_preparation", "workload"}
)
"""Modules of this package that decide no weight, so that a change in them does not train anew."""
FILES = {"onnx": "model.onnx", "exported": "model.pt2"}
FACTS = "facts.json"
MODULE = "module.pt"
"""The module as torch pickles it, which techniques start from; absent where it cannot be pickled."""


def workload_of(spec: Spec) -> Workload:
    """The spec's built-in workload, with its parameters, or what its factory makes; raises UserError."""
    if spec.kind != "built-in":
        return create(spec.target, spec.search)
    step = Step.parse(spec.target)
    return create(BUILT_IN[step.name], spec.search, step)


def create(target: str, search: tuple[Path, ...], step: Step | None = None) -> Workload:
    """The workload that "module:factory" makes with a step's options; raises UserError where there is none."""
    sys.path[:0] = [str(folder) for folder in search]
    module, _, name = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
        made = factory(**_arguments(factory, step)) if step and step.options else factory()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"workload {target}: {blame(error)}") from error
    if not isinstance(made, Workload):
        raise UserError(
            f"workload {target}: must return a bakeoff.workloads.workload.Workload, not {type(made).__name__}"
        )
    return made


def _arguments(factory: Any, step: Step) -> dict[str, Any]:
    """A step's options as the factory's parameters say that they are."""
    known = inspect.signature(factory).parameters
    found: dict[str, Any] = {}
    for name, text in step.options.items():
        if name not in known:
            takes = ", ".join(known) or "none"
            raise UserError(f"workload {step}: has no parameter {name}; it takes {takes}")
        convert = {"int": int, "float": float}.get(str(known[name].annotation), str)
        try:
            found[name] = convert(text)
        except ValueError:
            kind = "a whole number" if convert is int else "a number"
            raise UserError(f"workload {step}: {name} must be {kind}, not {text}") from None
    return found


def blame(error: Exception) -> str:
    """What went wrong in a person's own code, and in which line: the last that is neither ours nor a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[1]
    own = [f for f in frames if "site-packages" not in f.filename and not Path(f.filename).is_relative_to(ours)]
    last = (own or frames)[-1]
    return f"{type(error).__name__}: {exporting.first_line(error)} ({Path(last.filename).name}, line {last.lineno})"


def trained(workload: Workload, spec: Spec, progress: Progress) -> Path:
    """The folder of the cache with the exported model and its facts; trains it where there is none."""

    def make(folder: Path) -> None:
        progress(f"{workload.name}: {_terms(workload)}")
        write(workload, workload.train(spec.training_seed, downloads(spec), progress), spec, folder, progress)

    return made_once(spec.cache / "models" / model_key(workload, spec), make)


def model_key(workload: Workload, spec: Spec) -> str:
    """Names the trained model by all that decides it."""
    start = inspect.getfile(type(workload)) if spec.kind == "built-in" else exporting.__file__
    code = code_digest(
        sorted({*imports(Path(start), "bakeoff.workloads", PLUMBING), Path(__file__), Path(exporting.__file__)})
    )
    decides = [workload.name, spec.target, str(spec.training_seed), spec.own, code]
    return f"{workload.name}-{hashlib.sha256(chr(10).join(decides).encode()).hexdigest()[:16]}"


def write(workload: Workload, made: Trained, spec: Spec, folder: Path, progress: Progress) -> None:
    """Export a model into `folder`, with the module itself and its facts."""
    progress(f"exporting {workload.name}")
    most = max(exporting.CHECKED_ROWS)
    rows = workload.requests(np.array([most]), spec.seed, downloads(spec), progress)
    exporting.export(made.module, workload.inputs, workload.outputs, rows, folder)
    try:
        torch.save(made.module, folder / MODULE)
    except Exception as error:
        progress(
            f"{workload.name} cannot be pickled, so no technique can be tried on it: {exporting.first_line(error)}"
        )
        (folder / MODULE).unlink(missing_ok=True)
    facts = plain({**made.facts, **counted(made.module)})
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def files_in(folder: Path) -> dict[str, Path]:
    """The exported files by format."""
    return {form: folder / name for form, name in FILES.items() if (folder / name).exists()}


def facts_in(folder: Path) -> dict[str, str | int | float]:
    """The facts of a model in the cache."""
    found: dict[str, str | int | float] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return found


def downloads(spec: Spec) -> Path:
    """Where what packages carry is kept."""
    return spec.cache / "downloads"


def plain(facts: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """Facts as JSON takes them."""
    return {name: fact.item() if isinstance(fact, np.generic) else fact for name, fact in facts.items()}


def _terms(workload: Workload) -> str:
    return "; ".join(part for part in (workload.licence, workload.citation) if part) or "no licence stated"
