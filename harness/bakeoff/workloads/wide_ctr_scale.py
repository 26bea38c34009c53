"""`wide-ctr-scale`: a DLRM with tables as large as a shop's, to see what their size does to speed and memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from bakeoff.backends import Arrays, Tensor
from bakeoff.errors import UserError
from bakeoff.workloads import dlrm_tiled, wide_preparation
from bakeoff.workloads.dlrm import Dlrm
from bakeoff.workloads.prepared import Array, Data
from bakeoff.workloads.spare_memory import spare_bytes
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

NUMBERS, USER_NUMBERS = 13, 6
POPULARITY = 1.05
"""The exponent of Zipf's law, by which a shop's few popular items get most of the views."""
LEAST_DIM, MOST_TABLES = 4, 64
HELD_OUT_ROWS = 2048
COPIES = 5
"""Of the tables, in memory at once while the model is written in two formats and both are checked (4.2 measured)."""
GOLDEN = (math.sqrt(5) - 1) / 2


class WideCtrScale(Workload):
    """One user and N candidate items, as in ctr-dlrm, over `tables` tables of `rows` rows in all.

    The weights are random, so nothing is said of quality. The first half of the tables holds what belongs to the user
    and is looked up with the same id in all rows of a request.
    """

    name = "wide-ctr-scale"
    data: ClassVar[Data] = "generated"
    licence = "made up here: random weights, Zipf ids; no quality can be measured"
    outputs = ("click",)
    judged = "click"
    metrics = ()
    preparation = "bakeoff.workloads.wide_preparation:WidePreparation"

    def __init__(self, rows: int = 2_000_000, dim: int = 32, tables: int = 8) -> None:
        if dim < LEAST_DIM:
            raise UserError(f"{self.name}: dim must be at least {LEAST_DIM}, not {dim}")
        if not 1 <= tables <= MOST_TABLES:
            raise UserError(f"{self.name}: tables must be from 1 to {MOST_TABLES}, not {tables}")
        if rows < tables:
            raise UserError(f"{self.name}: rows must be at least one for each of the {tables} tables, not {rows}")
        _require_memory(rows, dim)
        self.dim = dim
        self.sizes = [(rows + place) // tables for place in range(tables)]
        self.inputs = (Tensor("dense", "float32", (None, NUMBERS)), Tensor("sparse", "int64", (None, tables)))
        self.raw_inputs = (
            Tensor("user_ids", "int64", (1, tables // 2), "request"),
            Tensor("item_ids", "int64", (None, tables - tables // 2)),
            Tensor("user_numbers", "float32", (1, USER_NUMBERS), "request"),
            Tensor("item_numbers", "float32", (None, NUMBERS - USER_NUMBERS)),
        )

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """No training: rows of length about one, so that their products matter to the answer."""
        progress(f"filling {len(self.sizes)} tables of {self.sizes[0]:,} rows")
        torch.manual_seed(seed)
        module = Dlrm(NUMBERS, self.sizes, self.dim)
        for table in module.tables:
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, 0, 1 / math.sqrt(self.dim))
        return Trained(module.eval(), {"table_bytes": table_bytes(sum(self.sizes), self.dim)})

    def tiled(self, module: nn.Module) -> nn.Module:
        """The same model with the user's tables looked up once per request."""
        return dlrm_tiled.tiled(module, range(len(self.sizes) // 2))

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """Users and items by Zipf's law."""
        return self._drawn(np.asarray(rows), np.random.default_rng([seed, 1]))

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """64-bit ids, which need no lookup, and the numbers as they are."""
        inputs = self.requests(rows, seed, cache, progress)
        return wide_preparation.raw_of(inputs, np.asarray(rows), USER_NUMBERS, np.array(self.sizes), into)

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """Rows without labels: an engine must answer them, and no metric judges what it says."""
        rows = chunks(HELD_OUT_ROWS, chunk)
        return HeldOut(self._drawn(rows, np.random.default_rng([seed, 2])), rows)

    def _drawn(self, rows: Array, rng: np.random.Generator) -> dict[str, Array]:
        total, users = int(rows.sum()), len(self.sizes) // 2
        dense = rng.standard_normal((total, NUMBERS), np.float32)
        dense[:, :USER_NUMBERS] = np.repeat(rng.standard_normal((len(rows), USER_NUMBERS), np.float32), rows, axis=0)
        columns = [np.repeat(zipf_ids(size, len(rows), rng), rows) for size in self.sizes[:users]]
        columns += [zipf_ids(size, total, rng) for size in self.sizes[users:]]
        return {"dense": dense, "sparse": np.stack(columns, axis=1)}


def zipf_ids(size: int, count: int, rng: np.random.Generator, exponent: float = POPULARITY) -> Array:
    """Ids below `size`, int64 [count]: the k-th most popular with a probability of about k^-exponent.

    By the inverse of the continuous law's distribution. Popular ids are spread over the table, as ids given out in the
    order of arrival are: by a step that has no divisor in common with the size.
    """
    power = 1 - exponent
    ranks = np.power(1 + rng.random(count) * (np.power(size + 1.0, power) - 1), 1 / power)
    ids: Array = (np.minimum(ranks.astype(np.int64), size) - 1) * _step(size) % size
    return ids


def table_bytes(rows: int, dim: int) -> int:
    """What the tables take at fp32."""
    return rows * dim * 4


def _step(size: int) -> int:
    step = max(round(size * GOLDEN), 1)
    while math.gcd(step, size) != 1:
        step += 1
    return step


def _require_memory(rows: int, dim: int) -> None:
    """Raise UserError where the tables and the copies that are made of them do not fit into memory."""
    spare, need = spare_bytes(), COPIES * table_bytes(rows, dim)
    if need > spare:
        fitting = spare // (COPIES * dim * 4) // 1000 * 1000
        raise UserError(
            f"{WideCtrScale.name}: rows={rows} of dim={dim} need {need / 1e9:.1f} GB of memory ({COPIES} copies exist"
            f" while the model is written), and {spare / 1e9:.1f} GB are free; rows={fitting} would fit"
        )
