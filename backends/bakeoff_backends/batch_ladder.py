"""The batch sizes that an engine compiles for, and how a request of another size is padded to the next of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Model
from bakeoff_backends.aten_graph import Graph

Array = np.ndarray[Any, Any]

MOST_SIZES = 16
"""Of more batch sizes than these, only powers of two and the largest are built for."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Sizes to compile for at load, the inputs that count items, and the outputs that do.

    Where items are not the one free axis, there are no sizes, and nothing is padded.
    """

    sizes: tuple[int, ...]
    padded: tuple[bool, ...]
    cut: tuple[bool, ...]

    @classmethod
    def of(cls, graph: Graph, model: Model) -> Ladder:
        """The traffic's own sizes, each exactly, if they are few."""
        axes = list(graph.inputs.values())
        free = {axis for shape in axes for axis in shape if isinstance(axis, str)}
        padded = tuple(
            shape[:1] == tuple(free) and tensor.per == "item" for shape, tensor in zip(axes, model.inputs, strict=True)
        )
        if not any(padded):
            return cls((), (False,) * len(padded), (False,) * len(model.outputs))
        seen = (len(sample[model.inputs[padded.index(True)].name]) for sample in model.samples)
        return cls(rungs((*model.batch_sizes, *seen)), padded, tuple(axes[:1] == tuple(free) for axes in graph.answers))

    @classmethod
    def read(cls, path: Path) -> Ladder:
        """The ladder that `write` left."""
        return cls(**{name: tuple(values) for name, values in json.loads(path.read_text()).items()})

    def write(self, path: Path) -> None:
        """Leave it beside the artifact, as JSON."""
        path.write_text(json.dumps(asdict(self)))

    def items(self, arrays: Sequence[Array]) -> int:
        """How many items a request has; 0 where nothing is padded."""
        return len(arrays[self.padded.index(True)]) if any(self.padded) else 0

    def pad(self, arrays: Sequence[Array]) -> list[Array]:
        """The request with its last row repeated, up to the next size."""
        items = self.items(arrays)
        more = rung(items, self.sizes) - items if items else 0
        if not more:
            return list(arrays)
        return [
            np.concatenate([values, np.repeat(values[-1:], more, axis=0)]) if padded else values
            for values, padded in zip(arrays, self.padded, strict=True)
        ]

    def unpad(self, answers: Sequence[Array], items: int) -> list[Array]:
        """The answers to the first `items` items."""
        return [values[:items] if cut else values for values, cut in zip(answers, self.cut, strict=True)]


def rungs(batch_sizes: Iterable[int]) -> tuple[int, ...]:
    """The sizes to compile for, ascending."""
    sizes = sorted(set(batch_sizes))
    if len(sizes) > MOST_SIZES:
        sizes = sorted({min(_power(size), sizes[-1]) for size in sizes})
    return tuple(sizes)


def rung(items: int, sizes: Sequence[int]) -> int:
    """The smallest of `sizes` or of the powers of two that holds `items`."""
    return min([_power(items), *(size for size in sizes if size >= items)])


def _power(items: int) -> int:
    return 1 << (items - 1).bit_length()
