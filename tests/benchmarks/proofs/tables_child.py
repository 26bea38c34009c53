"""A process of the proof of small tables: makes a model, builds an engine's artifact of it, or serves that.

    python -m proofs.tables_child make FOLDER VARIANT ROWS | build FOLDER ENGINE | serve FOLDER ENGINE ROWS

It prints {"bytes": …}: of the tables, of the artifact, or resident, with what is mapped from files.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays, Artifact, Model, Setting, create, registered
from bakeoff.measure import procs
from bakeoff.variants import Bench, techniques

WIDTH, TABLES, REQUEST_ROWS = 32, 8, 256
SETTING = Setting("1x1")


def make(folder: Path, variant: str, rows: str) -> int:
    """Write a model of wide-ctr-scale, or what a technique makes of it, as files; the bytes of its tables."""
    import torch

    from bakeoff.scenario.recipe import Recipe
    from bakeoff.workloads import exporting
    from bakeoff.workloads.wide_ctr_scale import WideCtrScale

    torch.set_num_threads(1)
    workload = WideCtrScale(int(rows), WIDTH, TABLES)
    module = workload.train(1, folder, lambda _: None).module
    if variant != "fp32":
        (technique,) = techniques(Recipe.parse(variant))
        module = technique.apply(module, Bench(examples=()))
    request = workload.requests(np.array([REQUEST_ROWS]), 1, folder, lambda _: None)
    files = exporting.export(module, workload.inputs, workload.outputs, request, folder)
    (folder / "model").write_bytes(pickle.dumps(Model(files, workload.inputs, workload.outputs, [request])))
    tables = module.get_submodule("tables")
    return sum(tensor.nbytes for tensor in (*tables.parameters(), *tables.buffers()))


def build(folder: Path, engine: str) -> int:
    """Have the engine's plugin build the model; the bytes of all that it leaves."""
    into = folder / engine
    into.mkdir()
    model = pickle.loads((folder / "model").read_bytes())
    artifact = create(registered()[engine].value).build(model, "fp32", SETTING, "cpu", into)
    left = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    (folder / f"{engine}.artifact").write_bytes(pickle.dumps(artifact))
    return left


def serve(folder: Path, engine: str, rows: str) -> int:
    """Load the artifact and look up every row of every table once; the resident size then."""
    artifact: Artifact = pickle.loads((folder / f"{engine}.artifact").read_bytes())
    session = create(registered()[engine].value).load(artifact, SETTING, "cpu")
    for request in _requests(int(rows) // TABLES):
        session.infer(request)
    return procs.resident_bytes(os.getpid())


def _requests(rows: int) -> Iterator[Arrays]:
    rng = np.random.default_rng(1)
    for first in range(0, rows, REQUEST_ROWS):
        ids = np.minimum(np.arange(first, first + REQUEST_ROWS), rows - 1)
        dense = rng.standard_normal((REQUEST_ROWS, 13), np.float32)
        yield {"dense": dense, "sparse": np.ascontiguousarray(np.repeat(ids[:, None], TABLES, axis=1))}


if __name__ == "__main__":
    task, folder, *words = sys.argv[1:]
    tasks: dict[str, Callable[..., int]] = {"make": make, "build": build, "serve": serve}
    found = tasks[task](Path(folder), *words)
    sys.stdout.write(json.dumps({"bytes": found}) + "\n")
    sys.stdout.flush()
    os._exit(0)
