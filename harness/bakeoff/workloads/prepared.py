"""A prepared workload as it lies on disk: model files, a pool of requests with reference outputs, held-out data.

A child process makes the folder (see `writing`); the parent and every worker read it. Standard library and numpy
alone, so that a worker starts in any environment. Arrays are mapped into memory, never read whole.

    manifest.json            what it is: signature, variants, metrics, facts
    base/model.onnx          the base's model files
    own/<variant>/           a person's own compressed files: model.onnx or model.pt2, and its own reference.<j>.npy
    requests/                items.npy, rows.npy, input.<i>.npy, reference.<j>.npy + reference_shapes.<j>.npy
    requests/raw.<i>.npy     the same requests before their preparation, and
    preparation/             what that reads: both only where a scenario includes it
    holdout/                 the same, and judged.npy; labels, groups, queries, relevant where they apply
    compressed/<recipe>/     what techniques made of the base, added when first asked for: variant.json, model files,
                             and their own reference.<j>.npy
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bakeoff.backends import Model, Tensor
from bakeoff.workloads.raw_form import RawForm, tensors_of

FORMAT = 1
MANIFEST = "manifest.json"
PREPARATION = "preparation"
MADE = "variant.json"
OWN = "own"
"""The folder in a prepared one that holds a person's own variants."""
COMPRESSED = "compressed"
"""The folder in a prepared one that holds what techniques made of its model."""
REFERENCE = "reference"
"""What the names of files with a model's own answers begin with."""
SAMPLES = 64
"""How many requests of the pool a model takes along for calibration."""
_PAGE_BYTES = 4096

Array = np.ndarray[Any, Any]
Data = Literal["real", "recorded", "generated"]
Kind = Literal["rows", "retrieval", "classes", "catalogue"]


def mapped(path: Path) -> Array:
    """The array in a .npy file, mapped copy-on-write: writable, not read until used, and the file stays as it is."""
    stored = np.load(path, mmap_mode=None if path.stat().st_size < 4096 else "c")
    return np.asarray(stored)


class Requests:
    """A pool of requests. Request i scores `items[i]` items.

    `offsets` (int64, count + 1) says which rows of the "item" inputs belong to a request: one row for each item, and
    in some workloads one more, for a search's query. A "request" input holds the same number of rows for each request
    (one, or more where the model fixes its leading axis).
    """

    def __init__(
        self,
        folder: Path,
        inputs: tuple[Tensor, ...],
        outputs: tuple[str, ...],
        references: Path | None = None,
        raw_inputs: tuple[Tensor, ...] = (),
    ) -> None:
        self.inputs = inputs
        self.raw_inputs = raw_inputs
        self.outputs = outputs
        self.items: Array = np.load(folder / "items.npy")
        self.count = len(self.items)
        self.offsets: Array = np.concatenate([[0], np.cumsum(np.load(folder / "rows.npy"))]).astype(np.int64)
        self._bounds = self.offsets.data  # gives Python's numbers, which slice sooner than numpy's
        self._arrays = tuple(mapped(folder / f"input.{i}.npy") for i in range(len(inputs)))
        self._raw = tuple(mapped(folder / f"raw.{i}.npy") for i in range(len(raw_inputs)))
        self._references = tuple(_Pieces.read(references or folder, j) for j in range(len(outputs)))

    @property
    def rows(self) -> int:
        """Rows of all requests together."""
        return int(self.offsets[-1])

    @property
    def references(self) -> int:
        """How many requests, from the first on, have reference outputs of the variant's model."""
        return min((len(pieces) for pieces in self._references), default=0)

    @property
    def input_bytes(self) -> int:
        """The size of all inputs together."""
        return sum(array.nbytes for array in self._arrays)

    def touch(self) -> None:
        """Read one number of every page of all inputs, so that no request waits for the disk or for a mapping later."""
        for array in [*self._arrays, *self._raw]:
            array.reshape(-1)[:: max(1, _PAGE_BYTES // array.itemsize)].copy()

    def get(self, index: int) -> dict[str, Array]:
        """The inputs of request `index`, each C-contiguous."""
        return {
            tensor.name: self._slice(tensor, array, index)
            for tensor, array in zip(self.inputs, self._arrays, strict=True)
        }

    def raw(self, index: int) -> dict[str, Array]:
        """Request `index` before its preparation; empty where that was not asked for."""
        return {
            tensor.name: self._slice(tensor, array, index)
            for tensor, array in zip(self.raw_inputs, self._raw, strict=True)
        }

    def reference(self, index: int) -> dict[str, Array]:
        """Every output of the variant's model as its file says it, for request `index`, below `references`."""
        return {name: pieces.get(index) for name, pieces in zip(self.outputs, self._references, strict=True)}

    def _slice(self, tensor: Tensor, array: Array, index: int) -> Array:
        if tensor.per == "item":
            return array[self._bounds[index] : self._bounds[index + 1]]
        if not tensor.shape:
            return array[index : index + 1].reshape(())
        rows = len(array) // self.count
        return array[index * rows : (index + 1) * rows]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Arrays of any shapes, stored end to end: `flat` values, and one row of `shapes` for each array."""

    flat: Array
    shapes: Array
    starts: Array

    @classmethod
    def read(cls, folder: Path, output: int) -> _Pieces:
        if not (folder / f"reference.{output}.npy").exists():
            return cls(np.empty(0), np.empty((0, 0), np.int64), np.zeros(1, np.int64))
        shapes = np.load(folder / f"reference_shapes.{output}.npy")
        starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))]).astype(np.int64)
        return cls(mapped(folder / f"reference.{output}.npy"), shapes, starts)

    def __len__(self) -> int:
        return len(self.shapes)

    def get(self, index: int) -> Array:
        return self.flat[self.starts[index] : self.starts[index + 1]].reshape(self.shapes[index])


@dataclass(frozen=True, slots=True)
class Holdout:
    """Held-out data on which quality is judged: `requests` in natural chunks, in the order of the rows below.

    rows: `labels` (float32 [rows]; None: judge fidelity) and `groups` (int64 [rows]: which rows are ranked together).
    retrieval: `queries` and `relevant` are row numbers, of the query texts and of the relevant text of each query; all
    rows that are no queries are the corpus. `reference` is the judged output of the base fp32 model, [rows, ...].
    """

    kind: Kind
    requests: Requests
    labels: Array | None
    groups: Array | None
    queries: Array | None
    relevant: Array | None
    reference: Array

    @classmethod
    def read(cls, folder: Path, kind: Kind, inputs: tuple[Tensor, ...]) -> Holdout:
        """Open the holdout that lies in `folder`."""

        def optional(name: str) -> Array | None:
            path = folder / f"{name}.npy"
            return mapped(path) if path.exists() else None

        columns = {name: optional(name) for name in ("labels", "groups", "queries", "relevant")}
        return cls(kind, Requests(folder, inputs, ()), reference=mapped(folder / "judged.npy"), **columns)


@dataclass(frozen=True, slots=True)
class Made:
    """A variant that techniques made: where it lies in the prepared folder, its files by format, and its facts."""

    place: str
    files: Mapping[str, Path]
    facts: Mapping[str, str | int | float]

    @classmethod
    def read(cls, prepared: Path, place: str) -> Made:
        """Open the variant that lies at `place` in a prepared folder."""
        stored = json.loads((prepared / place / MADE).read_text(encoding="utf-8"))
        return cls(place, {form: prepared / place / path for form, path in stored["files"].items()}, stored["facts"])


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no such variant: "unsupported" where a technique does not apply to the model, "unavailable" where it
    cannot work here, else "failed"."""

    outcome: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workload ready to be measured. `key` is a hash of everything that decides its content.

    `variants` maps variant -> format ("onnx", "exported") -> file, `made` holds those of a scenario's techniques, and
    `refused` why one could not be made; `metrics` are judged on the output named `judged`;
    `facts` are for people: training seconds, rows, the reference's own metrics.
    """

    folder: Path
    key: str
    name: str
    data: Data
    licence: str
    citation: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    variants: Mapping[str, Mapping[str, Path]]
    metrics: tuple[str, ...]
    judged: str
    kind: Kind
    facts: Mapping[str, str | int | float]
    raw: RawForm | None = None
    """Where a request's preparation is a part of it."""
    inexact: tuple[str, ...] = ()
    """A person's own variants that round inside (quantised, fp16), so that no two engines answer quite alike."""
    made: Mapping[str, Made] = field(default_factory=dict)
    refused: Mapping[str, Refusal] = field(default_factory=dict)

    @property
    def provisional(self) -> bool:
        """Whether the inputs are made up, so that they may decide speed and never quality."""
        return self.data == "generated"

    @classmethod
    def read(cls, folder: Path) -> Prepared:
        """Open a prepared folder; raises ValueError where it was written in another format."""
        stored = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if stored.pop("format") != FORMAT:
            raise ValueError(f"{folder} is not a prepared workload of format {FORMAT}")
        stored["inputs"] = tensors_of(stored["inputs"])
        if "raw" in stored:
            stored["raw"] = RawForm.of(stored["raw"])
        stored["variants"] = {
            variant: {form: folder / path for form, path in files.items()}
            for variant, files in stored["variants"].items()
        }
        for name in ("outputs", "metrics", "inexact"):
            stored[name] = tuple(stored.get(name, ()))
        return cls(folder=folder, **stored)

    @property
    def names(self) -> tuple[str, ...]:
        """All variants, the base first, and those that could not be made."""
        return (*self.variants, *self.made, *self.refused)

    def place(self, variant: str) -> str:
        """What `model` calls a variant, in this process and in others."""
        return self.made[variant].place if variant in self.made else variant

    def files(self, place: str = "base") -> Mapping[str, Path]:
        """A variant's model files by format."""
        return self.variants[place] if place in self.variants else Made.read(self.folder, place).files

    def model(self, place: str = "base") -> Model:
        """A variant for an engine to build, with sample requests and the row counts of the traffic."""
        pool = self.requests()
        return Model(
            files=self.files(place),
            inputs=self.inputs,
            outputs=self.outputs,
            samples=tuple(pool.get(i) for i in range(min(pool.count, SAMPLES))),
            batch_sizes=tuple(int(size) for size in np.unique(np.diff(pool.offsets))),
        )

    def requests(self, place: str = "base") -> Requests:
        """The pool of requests that the load is drawn from, with the reference outputs of the variant at `place`."""
        raw_inputs = self.raw.inputs if self.raw else ()
        return Requests(self.folder / "requests", self.inputs, self.outputs, self._references(place), raw_inputs)

    def _references(self, place: str) -> Path | None:
        """The folder with the answers of the variant at `place`; None for the base's, which lie with the requests."""
        if place == "base":
            return None
        return next(iter(self.variants[place].values())).parent if place in self.variants else self.folder / place

    def holdout(self) -> Holdout:
        """The held-out data."""
        return Holdout.read(self.folder / "holdout", self.kind, self.inputs)
