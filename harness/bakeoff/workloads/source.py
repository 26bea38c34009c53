"""What a prepared folder is written from, wherever the model came from; and the spec that a child is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads.prepared import Array, Data
from bakeoff.workloads.raw_form import RawForm
from bakeoff.workloads.workload import Fact, HeldOut

Origin = Literal["built-in", "factory", "onnx", "pt2"]

DECIDING_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "transformers")

HELD_OUT_CHUNK = 256
"""Rows of a held-out request where those of the traffic are too few to be worth a call."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file of recorded requests, with the columns that hold the label and the group, if any."""

    file: Path
    label: str | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Spec:
    """What to prepare: everything that decides the result, and where to work."""

    kind: Origin
    target: str
    variants: Mapping[str, Path]
    recorded: Recorded | None
    sizes: tuple[tuple[int, float], ...]
    """Items per request, and the share of the requests that have as many."""
    seed: int
    training_seed: int
    """Seed of the training alone: `seed` decides which data is held out and which is sent."""
    pool_bytes: int
    search: tuple[Path, ...]
    """Folders in which a factory's module is looked for first."""
    cache: Path
    into: Path
    own: str
    """A digest of the person's own files: models, recorded requests, the factory's module."""
    code: str
    """A digest of this package's code and of the versions it works with."""
    key: str
    """Names the result by all that decides it."""
    include_preparation: bool = False
    """Whether the requests are wanted in their raw form too."""
    recipe: str = ""
    """The variant to make of the workload's model; none: the workload itself is prepared."""

    @property
    def most_items(self) -> int:
        """The size of the largest request."""
        return max(items for items, _ in self.sizes)

    @property
    def chunk(self) -> int:
        """Rows of a held-out request: the largest of the traffic, but not a mere handful."""
        return self.most_items if self.most_items >= HELD_OUT_CHUNK // 4 else HELD_OUT_CHUNK

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "kind": self.kind,
            "target": self.target,
            "variants": {name: str(path) for name, path in self.variants.items()},
            "recorded": self.recorded and [str(self.recorded.file), self.recorded.label, self.recorded.group],
            "sizes": [list(size) for size in self.sizes],
            "seed": self.seed,
            "training_seed": self.training_seed,
            "pool_bytes": self.pool_bytes,
            "search": [str(folder) for folder in self.search],
            "cache": str(self.cache),
            "into": str(self.into),
            "own": self.own,
            "code": self.code,
            "key": self.key,
            "recipe": self.recipe,
            **({"include_preparation": True} if self.include_preparation else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Spec:
        """The spec that `to_json` gave."""
        recorded = stored["recorded"]
        changed = {
            "variants": {name: Path(path) for name, path in stored["variants"].items()},
            "recorded": recorded and Recorded(Path(recorded[0]), *recorded[1:]),
            "sizes": tuple((int(items), float(share)) for items, share in stored["sizes"]),
            "search": tuple(Path(folder) for folder in stored["search"]),
            "cache": Path(stored["cache"]),
            "into": Path(stored["into"]),
        }
        return cls(**{**stored, **changed})


def code_digest(files: Iterable[Path]) -> str:
    """A digest of files of code, and of the versions of the packages that the result depends on."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    for package in DECIDING_PACKAGES:
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            digest.update(f"{package} absent".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Pool:
    """Requests end to end: each input's rows, and how many rows each request has."""

    arrays: Arrays
    rows: Array


@dataclass(frozen=True, slots=True)
class RawPool:
    """The raw form of requests, and a function that gives the pool's: of its rows, and of a folder for what the
    preparation reads."""

    form: RawForm
    requests: Callable[[Array, Path], Arrays]


@dataclass(frozen=True, slots=True)
class Source:
    """A model's files with its signature, its requests and held-out data, and a way to run the base model at fp32."""

    name: str
    data: Data
    licence: str
    citation: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    judged: str
    metrics: tuple[str, ...]
    files: Mapping[str, Mapping[str, Path]]
    """Variant -> format -> file, to be copied."""
    pool: Callable[[], Pool]
    held_out: Callable[[], HeldOut]
    run: Callable[[Arrays], Mapping[str, np.ndarray[Any, Any]]]
    reference_rows: int = 65_536
    beside: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    raw: RawPool | None = None
    """Only where the spec includes the preparation."""
