"""Makes up requests for a model from its signature alone: they may decide speed, never quality."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bakeoff.backends import Tensor
from bakeoff.workloads.index_limits import UNLIMITED
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.signature import FREE_AXIS, Signature

USUAL_LIMIT = 100
"""Integers that index no table stay below it."""
RANKED_TOGETHER = 32
"""Held-out rows that make one list to be ranked."""
MOST_HELD_OUT_ROWS, MOST_HELD_OUT_BYTES = 2048, 32 << 20
FEW_HELD_OUT_ROWS = 128


def generate(
    signature: Signature, limits: Mapping[str, Array], rows: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """Inputs of len(rows) requests end to end, request i with rows[i] rows."""
    arrays = {}
    for tensor in signature.inputs:
        if tensor.per == "item":
            shape = (int(rows.sum()), *signature.shape(tensor, int(rows[0]))[1:])
        elif tensor.shape:
            first, *rest = signature.shape(tensor, int(rows[0]))
            shape = (first * len(rows), *rest)
        else:
            shape = (len(rows),)
        arrays[tensor.name] = _values(tensor, shape, limits.get(tensor.name), signature.positive, rng)
    return arrays


def row_bytes(signature: Signature) -> tuple[int, int]:
    """What a row of a request takes, and what a request takes besides."""
    of = {"item": 0, "request": 0}
    for tensor in signature.inputs:
        shape = signature.shape(tensor, 1)
        rest = shape[1:] if tensor.per == "item" else shape
        of[tensor.per] += math.prod(rest) * np.dtype(tensor.dtype).itemsize
    return of["item"], of["request"]


def held_out_rows(signature: Signature, chunk: int, slow: bool) -> int:
    """How many rows to judge on: whole lists, in whole requests, fewer where rows are large or the runner is slow."""
    each = max(row_bytes(signature)[0], 1)
    most = min(FEW_HELD_OUT_ROWS if slow else MOST_HELD_OUT_ROWS, MOST_HELD_OUT_BYTES // each)
    rows = max(most // RANKED_TOGETHER, 1) * RANKED_TOGETHER
    return max(rows // chunk, 1) * chunk


def _values(
    tensor: Tensor, shape: tuple[int, ...], limits: Array | None, positive: bool, rng: np.random.Generator
) -> Array:
    """Normal numbers; integers inside their tables, the small ones more often; ones for a mask."""
    dtype, name = np.dtype(tensor.dtype), tensor.name.lower()
    if "mask" in name:
        return np.ones(shape, dtype)
    if dtype.kind == "f":
        normal: Array = rng.standard_normal(shape, np.float32)
        return (np.abs(normal) if positive else normal).astype(dtype, copy=False)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if limits is not None:
        below = np.minimum(np.where(limits == UNLIMITED, USUAL_LIMIT, limits), np.iinfo(dtype).max)
        picked: Array = np.minimum(np.power(below + 1.0, rng.random(shape)) - 1, below - 1)
        return picked.astype(dtype)
    if any(word in name for word in ("length", "seq_len", "lens")):
        return np.full(shape, FREE_AXIS, dtype)
    if dtype.itemsize == 1:
        bounds = np.iinfo(dtype)
        return rng.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)
    return rng.integers(0, USUAL_LIMIT, shape).astype(dtype)
