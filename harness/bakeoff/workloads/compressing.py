"""Makes the variants that techniques give: each step of a recipe once, kept in the cache beside the model it came from.

A variant depends on the model alone, so that every traffic and every scenario shares it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bakeoff import variants
from bakeoff.backends import Arrays, Unsupported
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants.technique import Bench
from bakeoff.workloads import apart, exporting, training
from bakeoff.workloads.assembling import place_files
from bakeoff.workloads.locking import made_once
from bakeoff.workloads.prepared import MADE, Array, Prepared
from bakeoff.workloads.recipes import made_name
from bakeoff.workloads.source import Spec
from bakeoff.workloads.workload import Progress, Trained, Workload
from bakeoff.workloads.writing import write_references

EXAMPLES = 32
EXAMPLES_SEED = 0
"""The same examples whatever a scenario's seed, which names no folder of the cache."""
EXAMPLE_ROWS, EXAMPLE_ROWS_WHERE_SLOW = 128, 16
"""Rows of an example request: as many as make a technique's choice of what to keep steady, within seconds."""


def make(spec: Spec, progress: Progress) -> None:
    """Write the variant of `spec.recipe` into `spec.into`: its files by format, and its facts.

    Raises Unsupported where a technique does not apply to the model, Unavailable where it cannot work here.
    """
    if spec.kind not in ("built-in", "factory"):
        raise Unsupported("techniques work on a torch model; give compressed files of yours as variants instead")
    workload = training.workload_of(spec)
    kept = _made(workload, spec, Recipe.parse(spec.recipe), progress)
    files = place_files(training.files_in(kept), spec.into, spec.cache)
    _write_references(workload, files["exported"], spec.into)
    stored = {"files": {form: path.name for form, path in files.items()}, "facts": training.facts_in(kept)}
    (spec.into / MADE).write_text(json.dumps(stored), encoding="utf-8")


def _write_references(workload: Workload, exported: Path, folder: Path) -> None:
    """What the variant itself answers to the requests whose answers by the base are known: an engine must say so."""
    prepared = Prepared.read(folder.parents[1])
    requests = prepared.requests()
    module = torch.export.load(exported).module()
    answers = [
        exporting.run(module, workload.inputs, workload.outputs, requests.get(i)) for i in range(requests.references)
    ]
    write_references(folder, prepared.outputs, answers)


def _made(workload: Workload, spec: Spec, recipe: Recipe, progress: Progress) -> Path:
    """The folder of the cache with what the recipe makes; the base's own folder for no step."""
    if not recipe.steps:
        return training.trained(workload, spec, progress)
    before = _made(workload, spec, Recipe(recipe.steps[:-1]), progress)
    (technique,) = variants.techniques(Recipe(recipe.steps[-1:]))

    def write(folder: Path) -> None:
        progress(f"{workload.name}: {recipe.name}")
        module = _load(before)
        bench = _bench(workload, spec, progress)
        begun = time.monotonic()
        torch.manual_seed(spec.training_seed)
        smaller = technique.apply(module, bench).eval()
        facts = bench.facts | {"compress_s": round(time.monotonic() - begun, 2)}
        training.write(workload, Trained(smaller, facts), spec, folder, progress)

    base = training.model_key(workload, spec)
    return made_once(spec.cache / "models" / f"{base}+{made_name(recipe.name)}", write)


def _load(folder: Path) -> torch.nn.Module:
    """A copy of the model of a folder of our own cache, to be worked on."""
    if not (folder / training.MODULE).exists():
        raise Unsupported("the model cannot be pickled, so that no technique can take a copy of it")
    module: torch.nn.Module = torch.load(folder / training.MODULE, weights_only=False)
    return module.eval()


def _bench(workload: Workload, spec: Spec, progress: Progress) -> Bench:
    cache, seed = training.downloads(spec), spec.training_seed
    slow = workload.reference_rows < Workload.reference_rows
    rows = np.full(EXAMPLES, (EXAMPLE_ROWS_WHERE_SLOW if slow else EXAMPLE_ROWS) + workload.beside)
    arrays = workload.requests(rows, EXAMPLES_SEED, cache, progress)

    def train(module: torch.nn.Module, share: float, teacher: torch.nn.Module | None = None) -> None:
        workload.fit(module.train(), share, seed, cache, progress, teacher)
        module.eval()

    return Bench(
        examples=_examples(workload, arrays, rows),
        seed=seed,
        train=train,
        student=workload.student,
        loss=lambda module: workload.loss(module, seed, cache),
        tile=workload.tiled,
        apart=apart.run,
        progress=progress,
    )


def _examples(workload: Workload, arrays: Arrays, rows: Array) -> tuple[tuple[torch.Tensor, ...], ...]:
    """Each request as the module's arguments, in order."""
    ends = np.cumsum(rows)

    def cut(number: int) -> Iterator[torch.Tensor]:
        for tensor in workload.inputs:
            array = arrays[tensor.name]
            each = len(array) // len(rows)
            place = slice(int(ends[number] - rows[number]), int(ends[number]))
            place = place if tensor.per == "item" else slice(number * each, (number + 1) * each)
            yield torch.from_numpy(np.ascontiguousarray(array[place]))

    return tuple(tuple(cut(number)) for number in range(len(rows)))
