"""What a workload provides: a torch model, requests for it, and held-out data to judge it on.

The built-in workloads are such classes, and so is one of your own: name a function that returns it as
`workload: package.module:factory` in the scenario file. All of it runs in a child process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bakeoff.backends import Arrays, Tensor, Unsupported
from bakeoff.workloads.prepared import Array, Data, Kind

if TYPE_CHECKING:
    import torch

Progress = Callable[[str], None]
Fact = str | int | float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out rows: `arrays` by input name, cut into requests of `rows` rows each, and the columns that apply.

    "rows": `labels` (float32 [rows]) and `groups` (int64 [rows]: which rows are ranked together).
    "retrieval": `queries` and `relevant` (int64: row numbers of the query texts, and of the one relevant text of each).
    "classes": `labels` (int64 [rows]: the right class; the judged output has a score for each class).
    "catalogue": the judged output has a score for each item of the catalogue; `queries` and `relevant` (int64) are
    pairs of a row and an item that is relevant to it, any number for a row, sorted by row.
    """

    arrays: Arrays
    rows: Array
    kind: Kind = "rows"
    labels: Array | None = None
    groups: Array | None = None
    queries: Array | None = None
    relevant: Array | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with its fp32 weights in evaluation mode, and what is worth telling about its making."""

    module: torch.nn.Module
    facts: Mapping[str, Fact] = field(default_factory=dict)


class Workload(ABC):
    """A torch model with its requests and its held-out data."""

    name: ClassVar[str]
    """The name in reports."""
    data: ClassVar[Data] = "real"
    """Where requests and labels come from: "real" or "recorded" data, or "generated" (never decides on quality)."""
    licence: str = ""
    citation: str = ""
    inputs: tuple[Tensor, ...]
    """The module's arguments in order. The free axis of "item" inputs counts the items of a request."""
    outputs: tuple[str, ...]
    """Names of what the module returns, in order. Each has the items as its first axis."""
    judged: str
    """The output that the metrics judge: scores [items], or embeddings [items, width] for retrieval."""
    metrics: tuple[str, ...]
    """Names that `metrics.named` knows, such as "auc" and "logloss" (the judged output is a probability); () where
    the data is made up and nothing is to be judged."""

    beside: ClassVar[int] = 0
    """Rows of a request that are no items, such as a search's query."""
    reference_rows: ClassVar[int] = 65_536
    """How many rows of the pool get reference outputs; fewer where the model takes long."""
    preparation: ClassVar[str] = ""
    """The `Preparation` that turns a raw request into the inputs, as "package.module:Class"; "" where there is none."""
    raw_inputs: tuple[Tensor, ...] = ()
    """What a raw request holds, in numpy's types: the shop's own ids and counts; texts as UTF-8 bytes ("S")."""

    @abstractmethod
    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """The fp32 model. `cache` is a folder for downloads. The same seed gives the same weights."""

    def fit(
        self,
        module: torch.nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: torch.nn.Module | None = None,
    ) -> None:
        """Train `module`, the base or what a technique made of it, in place for `share` of the usual training.

        With a `teacher`, on its soft labels beside the true ones. Raises Unsupported where there is no training.
        """
        raise Unsupported(f"{self.name} brings no training: it does not override Workload.fit")

    def student(self, size: float) -> torch.nn.Module:
        """An untrained model with the same inputs and outputs, and about `size` of the base's layers or width."""
        raise Unsupported(f"{self.name} names no smaller student: it does not override Workload.student")

    def loss(self, module: torch.nn.Module, seed: int, cache: Path) -> float:
        """The mean training loss on rows kept apart from training and from the held-out data, to try things on."""
        raise Unsupported(f"{self.name} brings no training loss: it does not override Workload.loss")

    def tiled(self, module: torch.nn.Module) -> torch.nn.Module:
        """The same model with what belongs to the user computed once per request, from the request's first row."""
        raise Unsupported(
            f"{self.name} has no features of the user that its items share: it does not override Workload.tiled"
        )

    @abstractmethod
    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """Inputs of len(rows) requests end to end, request i with rows[i] rows. No two requests alike."""

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """The raw form of the very requests that `requests` gives for the same rows and seed, by name of `raw_inputs`.

        What the preparation reads (tables of ids, a tokenizer) is written into the folder `into`.
        """
        raise Unsupported(f"{self.name} has no preparation: it does not override Workload.raw_requests")

    @abstractmethod
    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """Held-out data that training never saw, in requests of `chunk` rows where the data has no cut of its own."""


def chunks(rows: int, chunk: int) -> Array:
    """How many rows each request has when `rows` rows are cut into requests of `chunk`; the last may be smaller."""
    whole, rest = divmod(rows, chunk)
    return np.array([chunk] * whole + [rest] * (rest > 0), dtype=np.int64)
