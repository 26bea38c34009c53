"""Recorded requests from a Parquet or .npz file: replayed as load, and judged by their labels where they have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bakeoff.backends import Tensor
from bakeoff.errors import UserError
from bakeoff.workloads.pool import MOST_BYTES
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.source import Pool, Recorded, Spec
from bakeoff.workloads.tables import read_columns
from bakeoff.workloads.workload import HeldOut, chunks

MOST_HELD_OUT_ROWS = 200_000
RECALLS = (50, 100)
"""How far down recall looks, in lists that are longer."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Requests end to end as they were recorded: `arrays` by input, `rows` of each request, and the columns."""

    file: Path
    inputs: tuple[Tensor, ...]
    arrays: Mapping[str, Array]
    rows: Array
    labels: Array | None
    groups: Array | None
    metrics: tuple[str, ...]

    def request(self, index: int) -> dict[str, Array]:
        """The inputs of one request."""
        return self._pick(np.array([index]))

    def pool(self, pool_bytes: int, rng: np.random.Generator) -> Pool:
        """The requests in random order, repeated in another order each time until they are `pool_bytes`."""
        once = sum(array.nbytes for array in self.arrays.values())
        times = max(1, min(-(-pool_bytes // max(once, 1)), MOST_BYTES // max(once, 1)))
        order = np.concatenate([rng.permutation(len(self.rows)) for _ in range(times)])
        return Pool(self._pick(order), self.rows[order])

    def held_out(self) -> HeldOut:
        """The recorded rows, at most the first 200,000 in whole requests."""
        requests = _judged(self.rows)
        rows = int(self.rows[:requests].sum())
        return HeldOut(
            self._pick(np.arange(requests)),
            self.rows[:requests],
            labels=None if self.labels is None else self.labels[:rows],
            groups=None if self.groups is None else self.groups[:rows],
        )

    def _pick(self, order: Array) -> dict[str, Array]:
        """The inputs of the requests in `order`, end to end."""
        ends = np.cumsum(self.rows)
        lengths = self.rows[order]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        by_row = np.repeat((ends - self.rows)[order], lengths) + within
        picked = {}
        for tensor in self.inputs:
            array = self.arrays[tensor.name]
            if tensor.per == "item":
                picked[tensor.name] = array[by_row]
            else:
                each = len(array) // len(self.rows)
                picked[tensor.name] = array.reshape(len(self.rows), each, *array.shape[1:])[order].reshape(
                    len(order) * each, *array.shape[1:]
                )
        return picked


def read(asked: Recorded, inputs: tuple[Tensor, ...], spec: Spec) -> Recording:
    """Read the file; raises UserError where it lacks a column or one does not fit the model's input."""
    columns = read_columns(asked.file)
    for name, what in ((asked.label, "label"), (asked.group, "group")):
        if name is not None and name not in columns:
            raise UserError(f"{asked.file}: has no column {name} for requests.{what}; it has {', '.join(columns)}")
    for tensor in inputs:
        if tensor.name not in columns:
            raise UserError(
                f"{asked.file}: has no column {tensor.name} for the model's input; it has {', '.join(columns)}"
            )
    labels = _labels(asked, columns)
    grouping = columns[asked.group] if asked.group else None
    count = _row_count(asked.file, columns, inputs, grouping, labels)
    order, rows, groups = _requests(asked.file, grouping, count, inputs, spec)
    first = np.cumsum(rows) - rows
    arrays = {}
    for tensor in inputs:
        array = fitted(asked.file, columns[tensor.name], tensor)
        if len(array) == count:
            array = array[order] if tensor.per == "item" else array[order][first]
        elif tensor.per == "item" or len(array) != len(rows):
            raise UserError(f"{asked.file}: column {tensor.name} has {len(array)} rows, the others {count}")
        arrays[tensor.name] = array if tensor.per == "item" else _by_request(tensor, array)
    labels = None if labels is None else labels[order]
    judged = slice(int(rows[: _judged(rows)].sum()))
    metrics = _metrics(asked.file, *(None if each is None else each[judged] for each in (labels, groups)))
    return Recording(asked.file, inputs, arrays, rows, labels, groups, metrics)


def _judged(rows: Array) -> int:
    """How many of the requests are held out: those within the first 200,000 rows, and at least one."""
    return max(int(np.searchsorted(np.cumsum(rows), MOST_HELD_OUT_ROWS, side="right")), 1)


def _row_count(
    file: Path, columns: Mapping[str, Array], inputs: Sequence[Tensor], grouping: Array | None, labels: Array | None
) -> int:
    of_items = [columns[tensor.name] for tensor in inputs if tensor.per == "item"]
    count = len(next(iter([*([] if grouping is None else [grouping]), *of_items, columns[inputs[0].name]])))
    if count == 0:
        raise UserError(f"{file}: has no rows")
    for what, column in (("label", labels), ("group", grouping)):
        if column is not None and len(column) != count:
            raise UserError(f"{file}: the {what} column has {len(column)} rows, the others {count}")
    return count


def _requests(
    file: Path, grouping: Array | None, count: int, inputs: Sequence[Tensor], spec: Spec
) -> tuple[Array, Array, Array | None]:
    """The order of the rows, the rows of each request in it, and the group of each row."""
    fixed = {tensor.shape[0] for tensor in inputs if tensor.per == "item"} - {None}
    if grouping is not None:
        _, first, inverse = np.unique(grouping, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[inverse.ravel()]
        order = np.argsort(groups, kind="stable")
        rows = np.bincount(groups).astype(np.int64)
        if fixed and set(rows.tolist()) != fixed:
            raise UserError(f"{file}: its groups have other sizes than the {fixed.pop()} items that the model fixes")
        return order, rows, groups[order].astype(np.int64)
    if fixed:
        size = int(next(iter(fixed)) or 1)
        rows = chunks(count - count % size, size)
    else:
        rng = np.random.default_rng([spec.seed, 4])
        sizes, shares = zip(*spec.sizes, strict=True)
        drawn = rng.choice(sizes, size=count // min(sizes) + 1, p=np.array(shares) / sum(shares))
        whole = int(np.searchsorted(np.cumsum(drawn), count, side="right"))
        rows = drawn[:whole].astype(np.int64)
    if not len(rows):
        raise UserError(f"{file}: has {count} rows, too few for one request of the traffic's batch_size")
    return np.arange(int(rows.sum())), rows, None


def fitted(file: Path, column: Array, tensor: Tensor) -> Array:
    """The column in the input's type and shape; raises UserError where it does not fit without loss."""
    wanted = np.dtype(tensor.dtype)
    if column.dtype.kind not in "biuf" or (wanted.kind in "biu" and column.dtype.kind == "f"):
        raise UserError(f"{file}: column {tensor.name} holds {column.dtype}, the model's input takes {wanted}")
    array = column.astype(wanted)
    if wanted.kind in "iub" and not np.array_equal(array, column):
        raise UserError(f"{file}: column {tensor.name} has values that do not fit the model's {wanted}")
    rest = tensor.shape[1:]
    if array.ndim == 1 and all(length in (1, None) for length in rest):
        array = array.reshape(len(array), *(1 for _ in rest))
    fits = array.ndim - 1 == len(rest) and all(
        wants in (None, has) for wants, has in zip(rest, array.shape[1:], strict=False)
    )
    if not fits:
        shape = ", ".join("?" if length is None else str(length) for length in rest)
        raise UserError(
            f"{file}: column {tensor.name} has rows of shape {list(array.shape[1:])}, the model's input takes [{shape}]"
        )
    if not np.isfinite(array).all():
        raise UserError(f"{file}: column {tensor.name} has values that are not finite")
    return np.ascontiguousarray(array)


def _by_request(tensor: Tensor, array: Array) -> Array:
    """An input of whole requests, one row (or scalar) for each."""
    if tensor.shape and tensor.shape[0] not in (1, None):
        raise UserError(f"the model's input {tensor.name} is no row of a request; recorded requests cannot hold it")
    return array


def _labels(asked: Recorded, columns: Mapping[str, Array]) -> Array | None:
    if asked.label is None:
        return None
    labels = columns[asked.label]
    if labels.ndim != 1 or labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
        raise UserError(f"{asked.file}: column {asked.label} must hold one number a row: the label")
    return labels.astype(np.float32)


def _metrics(file: Path, labels: Array | None, groups: Array | None) -> tuple[str, ...]:
    """What the labels allow to judge; none where there are no labels."""
    if labels is None:
        return ()
    values = np.unique(labels)
    if len(values) < 2:
        raise UserError(
            f"{file}: every label is {values[0]:g} in the first {len(labels):,} rows, which are judged;"
            " quality needs both clicked and not clicked"
        )
    binary = values.tolist() == [0.0, 1.0]
    if not binary and groups is None:
        raise UserError(f"{file}: labels other than 0 and 1 need requests.group, for they are judged by NDCG")
    largest = 0 if groups is None else int(np.bincount(groups).max())
    clicks = ("auc", "logloss", "normalized_entropy") if binary else ()
    ranked = ("ndcg@10",) if largest else ()
    return (*clicks, *ranked, *(f"recall@{k}" for k in RECALLS if binary and largest > k))
