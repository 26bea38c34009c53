"""Writes the folder that `prepared` reads. Standard library and numpy alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads.prepared import FORMAT, MANIFEST, Array, Prepared


def write_manifest(prepared: Prepared) -> None:
    """Write manifest.json into the prepared folder, with the model files' paths relative to it."""
    stored = {
        "format": FORMAT,
        "key": prepared.key,
        "name": prepared.name,
        "data": prepared.data,
        "licence": prepared.licence,
        "citation": prepared.citation,
        "inputs": [
            {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape, "per": tensor.per}
            for tensor in prepared.inputs
        ],
        "outputs": prepared.outputs,
        "variants": {
            variant: {form: path.relative_to(prepared.folder).as_posix() for form, path in files.items()}
            for variant, files in prepared.variants.items()
        },
        "metrics": prepared.metrics,
        "judged": prepared.judged,
        "kind": prepared.kind,
        "facts": dict(prepared.facts),
    }
    if prepared.inexact:
        stored["inexact"] = prepared.inexact
    if prepared.raw is not None:
        stored["raw"] = asdict(prepared.raw)
    text = json.dumps(stored, indent=2, ensure_ascii=False)
    (prepared.folder / MANIFEST).write_text(text, encoding="utf-8")


def write_requests(
    folder: Path, inputs: Sequence[Tensor], arrays: Arrays, rows: Sequence[int] | Array, beside: int = 0
) -> None:
    """Write a pool: `arrays` holds every input's rows of all requests end to end, `rows` how many each request has.

    `beside` of a request's rows are no items that it scores, such as a search's query.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lengths = np.asarray(rows, dtype=np.int64)
    np.save(folder / "rows.npy", lengths)
    np.save(folder / "items.npy", np.maximum(lengths - beside, 1))
    for i, tensor in enumerate(inputs):
        np.save(folder / f"input.{i}.npy", np.ascontiguousarray(arrays[tensor.name]))


def write_raw(folder: Path, raw_inputs: Sequence[Tensor], arrays: Arrays) -> None:
    """Write what the requests of the pool in `folder` hold before their preparation, end to end."""
    for i, tensor in enumerate(raw_inputs):
        np.save(folder / f"raw.{i}.npy", np.ascontiguousarray(arrays[tensor.name]))


def write_references(folder: Path, outputs: Sequence[str], references: Iterable[Arrays]) -> None:
    """Write a model's outputs for the first requests of the pool into `folder`; they may differ in shape."""
    collected = list(references)
    for j, name in enumerate(outputs):
        pieces = [np.asarray(reference[name]) for reference in collected]
        np.save(folder / f"reference_shapes.{j}.npy", np.array([piece.shape for piece in pieces], dtype=np.int64))
        np.save(folder / f"reference.{j}.npy", np.concatenate([piece.ravel() for piece in pieces]))


def write_holdout(
    folder: Path,
    inputs: Sequence[Tensor],
    arrays: Arrays,
    rows: Sequence[int] | Array,
    reference: Array,
    columns: Mapping[str, Array | None],
) -> None:
    """Write held-out data; `columns` are Holdout's "labels", "groups", "queries", "relevant", those that apply."""
    write_requests(folder, inputs, arrays, rows)
    np.save(folder / "judged.npy", reference)
    for name, column in columns.items():
        if column is not None:
            np.save(folder / f"{name}.npy", column)
