"""A source from a person's own model, whatever its format: its requests, recorded or made up, and what to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.errors import UserError
from bakeoff.metrics import FIDELITY
from bakeoff.workloads import generating, pool, recorded
from bakeoff.workloads.generating import generate
from bakeoff.workloads.own_files import variant_files
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.recorded import Recording
from bakeoff.workloads.signature import Reading, Signature, Value, ambiguous, signature, squares
from bakeoff.workloads.source import Pool, Source, Spec
from bakeoff.workloads.workload import HeldOut, chunks

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


@dataclass(frozen=True, slots=True)
class Trial:
    """One reading of the signature that the model ran with: is the judged output finite, and one score an item?"""

    shape: Signature
    recording: Recording | None
    judged: str
    finite: bool
    scored: bool


def source_of(model: OwnModel, spec: Spec) -> Source:
    """The source; raises UserError where the model does not run on requests of its signature or the recorded ones."""
    trial = _settle(model, spec)
    shape, recording = trial.shape, trial.recording

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
        judged=trial.judged,
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


def _settle(model: OwnModel, spec: Spec) -> Trial:
    """What the first axes mean and whether numbers must be positive, by trying: the best of the readings that run."""
    if squares(model.values) and len(spec.sizes) > 1:
        raise UserError(f"{model.path}: a later axis counts the items too, so batch_size must be one number")
    trials: list[Trial] = []
    failures: list[UserError] = []
    for items in READINGS if ambiguous(model.values) else READINGS[:1]:
        shape = signature(model.values, model.outputs, items, spec.most_items)
        for positive in (False,) if spec.recorded else (False, True):
            try:
                trials.append(_tried(model, replace(shape, positive=positive), spec))
            except UserError as error:
                failures.append(error)
            if trials and trials[-1].finite:
                break
    if not trials:
        raise failures[0]
    best = max(trials, key=lambda trial: (trial.finite, trial.scored))
    if not best.finite:
        remedy = "" if spec.recorded else "; give recorded requests"
        raise UserError(f"{model.path}: its answers ({best.judged}) are not finite on {_what(spec)}{remedy}")
    return best


def _tried(model: OwnModel, shape: Signature, spec: Spec) -> Trial:
    """Run the first recorded request, or a generated one of each of some sizes up to the largest."""
    recording = recorded.read(spec.recorded, shape.inputs, spec) if spec.recorded else None
    answers: Mapping[str, Array] = {}
    rows = 0
    for rows in [int(recording.rows[0])] if recording else _sizes_to_try(model, shape, spec):
        if recording:
            request, what = recording.request(0), _what(spec)
        else:
            request = generate(shape, model.limits, np.array([rows]), np.random.default_rng(spec.seed))
            what = "1 item" if rows == 1 else f"{rows} items"
        scalars = {tensor.name: request[tensor.name].reshape(()) for tensor in shape.inputs if not tensor.shape}
        try:
            answers = model.run(request | scalars)
        except Exception as error:
            raise UserError(f"{model.path}: does not run with {what}: {_one_line(error)}") from error
    judged, scored = _judged(model.path, answers, rows)
    return Trial(shape, recording, judged, bool(np.isfinite(answers[judged]).all()), scored)


def _sizes_to_try(model: OwnModel, shape: Signature, spec: Spec) -> list[int]:
    sizes, fixed = [items for items, _ in spec.sizes], shape.fixed_rows
    if fixed is None:
        return sorted({sizes[i] for i in np.linspace(0, len(sizes) - 1, MOST_SIZES_TRIED).astype(int)})
    if sizes != [fixed]:
        asked = ", ".join(str(items) for items in sizes)
        raise UserError(
            f"{model.path}: its own shape fixes {fixed} items a request, so batch_size must be {fixed}, not {asked}"
        )
    return [fixed]


def _what(spec: Spec) -> str:
    return str(spec.recorded.file) if spec.recorded else "generated inputs"


def _judged(path: Path, answers: Mapping[str, Array], rows: int) -> tuple[str, bool]:
    """The output to judge, and whether it is one score for each item: the first such, else the first of row shape."""
    numbers = {name: array for name, array in answers.items() if array.dtype.kind == "f"}
    numbers = numbers or {name: array for name, array in answers.items() if array.dtype.kind in "iub"}
    if not numbers:
        raise UserError(f"{path}: gives no numbers that could be judged")
    by_row = [name for name, array in numbers.items() if array.shape[:1] == (rows,)]
    scores = [name for name in by_row if numbers[name].size == rows]
    return [*scores, *by_row, *numbers][0], bool(scores)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
