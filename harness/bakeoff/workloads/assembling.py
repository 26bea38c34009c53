"""Writes a prepared folder from a source: model files, requests with reference outputs, held-out data, manifest."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bakeoff.errors import UserError
from bakeoff.metrics import SERVED, own_figures
from bakeoff.workloads import own_files
from bakeoff.workloads.external import gather, has_external_data
from bakeoff.workloads.prepared import OWN, PREPARATION, SAMPLES, Array, Prepared, Requests
from bakeoff.workloads.source import Source, Spec
from bakeoff.workloads.workload import Fact, HeldOut, Progress
from bakeoff.workloads.writing import write_holdout, write_manifest, write_raw, write_references, write_requests

FEWEST_REFERENCES = 8


def assemble(source: Source, spec: Spec, progress: Progress) -> None:
    """Write all of it into `spec.into`."""
    folder = spec.into
    files = {name: place_files(forms, _place(folder, name), spec.cache) for name, forms in source.files.items()}
    progress(f"making requests for {source.name}")
    pool = source.pool()
    write_requests(folder / "requests", source.inputs, pool.arrays, pool.rows, source.beside)
    if source.raw:
        (folder / PREPARATION).mkdir()
        raw = source.raw.requests(pool.rows, folder / PREPARATION)
        write_raw(folder / "requests", source.raw.form.inputs, raw)
    progress(f"computing reference outputs of {source.name}")
    requests = Requests(folder / "requests", source.inputs, ())
    count = _references(pool.rows, source.reference_rows)
    write_references(folder / "requests", source.outputs, [source.run(requests.get(i)) for i in range(count)])
    own = {name: path for name, forms in source.files.items() if name != "base" for path in forms.values()}
    for name, path in own.items():
        progress(f"computing reference outputs of {name}")
        write_references(_place(folder, name), source.outputs, _answers_of(name, path, source, folder))
    held = source.held_out()
    reference = judge(source, held, folder)
    columns = {"labels": held.labels, "groups": held.groups, "queries": held.queries, "relevant": held.relevant}
    write_holdout(folder / "holdout", source.inputs, held.arrays, held.rows, reference, columns)
    sizes: dict[str, Fact] = {
        "requests": len(pool.rows),
        "request_bytes": requests.input_bytes // len(pool.rows),
        "held_out_rows": len(reference),
    }
    write_manifest(
        Prepared(
            folder=folder,
            key=spec.key,
            name=source.name,
            data=source.data,
            licence=source.licence,
            citation=source.citation,
            inputs=source.inputs,
            outputs=source.outputs,
            variants=files,
            metrics=_judged_by(source, held, reference),
            judged=source.judged,
            kind=held.kind,
            facts={**source.facts, **sizes, **_own_metrics(source, held, reference)},
            raw=source.raw.form if source.raw else None,
            inexact=tuple(name for name, path in own.items() if own_files.is_inexact(path)),
        )
    )


def _place(folder: Path, variant: str) -> Path:
    """Where a variant's files lie: those of a person's own apart, for they may have any name."""
    return folder / variant if variant == "base" else folder / OWN / variant


def _answers_of(name: str, path: Path, source: Source, folder: Path) -> Iterator[Mapping[str, Array]]:
    """What a person's own variant answers to the requests whose answers by the base are known."""
    requests = Requests(folder / "requests", source.inputs, source.outputs)
    run = own_files.runner(name, path, source.inputs, source.outputs)
    for index in range(requests.references):
        answer = run(requests.get(index))
        mine, base = np.atleast_1d(answer[source.judged], requests.reference(index)[source.judged])
        if mine.size != base.size or len(mine) != len(base):
            shapes = f"gives {source.judged} as {list(mine.shape)}, the base as {list(base.shape)}"
            raise UserError(f"{path}: variant {name} {shapes}")
        yield answer


def judge(source: Source, held: HeldOut, folder: Path) -> Array:
    """The judged output of the base model on the held-out rows, [rows, ...]; `folder` for a scratch copy of them."""
    scratch = folder / "scratch"
    write_requests(scratch, source.inputs, held.arrays, held.rows)
    requests = Requests(scratch, source.inputs, ())
    answers = [np.atleast_1d(source.run(requests.get(i))[source.judged]) for i in range(requests.count)]
    shutil.rmtree(scratch)
    return np.concatenate(answers)


def place_files(forms: Mapping[str, Path], folder: Path, cache: Path) -> dict[str, Path]:
    """Link or copy a variant's files into `folder`, ONNX files with the weights that they keep elsewhere."""
    placed = {}
    for form, path in forms.items():
        placed[form] = folder / f"model{path.suffix}"
        if form == "onnx" and has_external_data(path):
            gather(path, placed[form])
        else:
            _link(path, placed[form], cache)
    return placed


def _link(source: Path, target: Path, cache: Path) -> None:
    """Have `source` at `target` too: linked where it lies in the cache for good, copied where it may change."""
    if source == target:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_relative_to(cache):
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)


def _references(rows: Array, most_rows: int) -> int:
    """How many requests get reference outputs: SAMPLES, fewer where they are large."""
    within = int(np.searchsorted(np.cumsum(rows[:SAMPLES]), most_rows, side="right"))
    return min(len(rows), SAMPLES, max(within, FEWEST_REFERENCES))


def _judged_by(source: Source, held: HeldOut, reference: Array) -> tuple[str, ...]:
    """The workload's metrics and, where lists are served, how much of their first places changes."""
    by_group = held.kind == "rows" and held.groups is not None
    scored = held.labels is not None or reference.size == len(reference)
    served = held.kind in ("retrieval", "catalogue") or (by_group and scored)
    return tuple(dict.fromkeys([*source.metrics, SERVED])) if served and source.metrics else source.metrics


def _own_metrics(source: Source, held: HeldOut, reference: Array) -> dict[str, Fact]:
    """The base model's own ranking quality, for people to read; raises UserError where a metric cannot be had."""
    try:
        found = own_figures(source.metrics, held, reference)
    except ValueError as error:
        raise UserError(f"{source.name}: {error}") from None
    return {f"base_{name}": round(value, 5) for name, value in found.items() if math.isfinite(value)}
