"""A source from a person's own model, whatever its format: its requests, recorded or made up, and what to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.errors import UserError
from bakeoff.workloads import generating, pool, recorded
from bakeoff.workloads.generating import generate
from bakeoff.workloads.own_files import variant_files
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.signature import Reading, Signature, Value, ambiguous, signature, squares
from bakeoff.workloads.source import Pool, Source, Spec
from bakeoff.workloads.workload import HeldOut, chunks

FIDELITY = ("score_error", "rank_correlation", "top10_agreement")
MOST_SIZES_TRIED = 4
READINGS: tuple[Reading, ...] = ("all", "one")


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A loaded model: its declared inputs and outputs, what limits its integers, and a way to run it at fp32."""

    path: Path
    files: Mapping[str, Path]
    values: tuple[Value, ...]
    outputs: tuple[str, ...]
    limits: Mapping[str, Array]
    run: Callable[[Arrays], Mapping[str, Array]]
    slow: bool


def source_of(model: OwnModel, spec: Spec) -> Source:
    """The source; raises UserError where the model does not run on requests of its signature or the recorded ones."""
    shape, judged = _settle(model, spec)
    recording = recorded.read(spec.recorded, shape.inputs, spec) if spec.recorded else None
    if recording:
        _try(model, recording.request(0), str(recording.file))

    def requests() -> Pool:
        rng = np.random.default_rng([spec.seed, 1])
        if recording:
            return recording.pool(spec.pool_bytes, rng)
        rows = pool.row_counts(_sizes(spec, shape), *generating.row_bytes(shape), spec.pool_bytes, rng)
        return Pool(generate(shape, model.limits, rows, rng), rows)

    def held_out() -> HeldOut:
        return recording.held_out() if recording else _generated(model, shape, spec)

    return Source(
        name=model.path.stem,
        data="recorded" if recording else "generated",
        licence="yours",
        citation=f"{recording.file.name if recording else 'made up'} for {model.path.name}",
        inputs=shape.inputs,
        outputs=model.outputs,
        judged=judged,
        metrics=recording.metrics if recording and recording.metrics else FIDELITY,
        files={"base": model.files, **variant_files(spec.variants, shape.inputs, model.outputs)},
        pool=requests,
        held_out=held_out,
        run=model.run,
        reference_rows=1024 if model.slow else 65_536,
    )


def _generated(model: OwnModel, shape: Signature, spec: Spec) -> HeldOut:
    chunk = shape.fixed_rows or spec.chunk
    rows = generating.held_out_rows(shape, chunk, model.slow)
    arrays = generate(shape, model.limits, chunks(rows, chunk), np.random.default_rng([spec.seed, 2]))
    lists = np.arange(rows) // generating.RANKED_TOGETHER if rows >= 2 * generating.RANKED_TOGETHER else None
    return HeldOut(arrays, chunks(rows, chunk), groups=lists)


def _sizes(spec: Spec, shape: Signature) -> Sequence[tuple[int, float]]:
    return spec.sizes if shape.fixed_rows is None else [(shape.fixed_rows, 1.0)]


def _settle(model: OwnModel, spec: Spec) -> tuple[Signature, str]:
    """What the first axes mean, by trying, and the output to judge."""
    if squares(model.values) and len(spec.sizes) > 1:
        raise UserError(f"{model.path}: a later axis counts the items too, so traffic.batch_size must be one number")
    found: list[tuple[Signature, str, bool]] = []
    failures: list[UserError] = []
    for items in READINGS if ambiguous(model.values) else READINGS[:1]:
        shape = signature(model.values, model.outputs, items, spec.most_items)
        try:
            found.append((shape, *_judged(*_answers(model, shape, spec))))
        except UserError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    shape, judged, _ = next((each for each in found if each[2]), found[0])
    return shape, judged


def _answers(model: OwnModel, shape: Signature, spec: Spec) -> tuple[Mapping[str, Array], int]:
    """The model's answer to a request of the largest size, and that size, after requests of others."""
    sizes = [items for items, _ in spec.sizes]
    fixed = shape.fixed_rows
    if fixed is not None and sizes != [fixed] and spec.recorded is None:
        asked = ", ".join(str(items) for items in sizes)
        raise UserError(
            f"{model.path}: its own shape fixes {fixed} items a request, so batch_size must be {fixed}, not {asked}"
        )
    sizes = sizes if fixed is None else [fixed]
    answers: Mapping[str, Array] = {}
    for rows in sorted({sizes[i] for i in np.linspace(0, len(sizes) - 1, MOST_SIZES_TRIED).astype(int)}):
        request = generate(shape, model.limits, np.array([rows]), np.random.default_rng(spec.seed))
        for tensor in shape.inputs:
            if not tensor.shape:
                request[tensor.name] = request[tensor.name].reshape(())
        answers = _try(model, request, f"{rows} items")
    return answers, sizes[-1]


def _judged(answers: Mapping[str, Array], rows: int) -> tuple[str, bool]:
    """The output to judge, and whether it is one score for each item: the first such, else the first of row shape."""
    numbers = {name: array for name, array in answers.items() if array.dtype.kind == "f"}
    numbers = numbers or {name: array for name, array in answers.items() if array.dtype.kind in "iub"}
    if not numbers:
        raise UserError("the model gives no numbers that could be judged")
    by_row = [name for name, array in numbers.items() if array.shape[:1] == (rows,)]
    scores = [name for name in by_row if numbers[name].size == rows]
    return [*scores, *by_row, *numbers][0], bool(scores)


def _try(model: OwnModel, request: Arrays, what: str) -> Mapping[str, Array]:
    try:
        return model.run(request)
    except Exception as error:
        raise UserError(f"{model.path}: does not run with {what}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
