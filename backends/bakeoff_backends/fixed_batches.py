"""Calls for fixed numbers of items: what engines without a free batch axis are built for, a file per size in a folder,
and what engines that compile for each size, each at its first call, are called with.

A request takes the next size up, its last row repeated to fill it, and what was answered to the repeats is cut off. One
beyond the largest size (held-out data, or what a batcher joined) takes the next power of two where the engine compiles
for it, and is cut into calls where it cannot, each led by its first row again. A model that answers otherwise for it,
one whose items look at each other, is refused by `check`, and never padded by a `Ladder`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Model, Session, Tensor, Unsupported

if TYPE_CHECKING:
    from bakeoff_backends.aten_graph import Graph

MOST_SEEN = 16
"""Of the traffic's own sizes; where it has more, the powers of two and the largest must do."""
LARGEST_CHANGE = 1e-3

Call = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Part:
    """One call: its size, the request's `rows` that fill it, and the answers kept."""

    size: int
    rows: np.ndarray[Any, Any]
    kept: slice


@dataclass(frozen=True, slots=True)
class Ladder:
    """For an engine that compiles for any size: what to compile for at load, the inputs that are padded, and the
    outputs that are cut. Without such inputs nothing is padded, and every size is compiled for."""

    sizes: tuple[int, ...]
    padded: tuple[str, ...]
    cut: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph, model: Model, whole: Call) -> Ladder:
        """The traffic's own sizes, each exactly, if they are few. Nothing is padded where items are not the one free
        axis, or where `whole`, which takes any size, answers a padded request otherwise."""
        free = {axis for shape in graph.inputs.values() for axis in shape if isinstance(axis, str)}
        pairs = zip(model.inputs, graph.inputs.values(), strict=True)
        padded = tuple(t.name for t, shape in pairs if shape[:1] == tuple(free) and t.per == "item")
        if not padded:
            return cls((), (), ())
        seen, few = _seen(model, padded[0])
        results = zip(model.outputs, graph.answers, strict=True)
        cut = tuple(name for name, shape in results if shape[:1] == tuple(free))
        if _changed(model, whole, padded, cut):
            return cls(tuple(sorted(seen)) if few else (), (), ())
        return cls(tuple(sorted(seen if few else {min(_power(size), max(seen)) for size in seen})), padded, cut)

    @classmethod
    def read(cls, path: Path) -> Ladder:
        """The ladder that `write` left."""
        return cls(**{name: tuple(values) for name, values in json.loads(path.read_text()).items()})

    def write(self, path: Path) -> None:
        """Leave it beside the artifact, as JSON."""
        path.write_text(json.dumps(asdict(self)))

    def session(self, call: Call) -> BatchSession:
        """A session over `call`, which takes any size."""
        sizes = self.sizes if self.padded else (1,)  # without padded inputs all requests count as one item
        return BatchSession(dict.fromkeys(sizes, call), self.padded, self.cut, call)


def sizes(model: Model) -> tuple[int, ...]:
    """What to build for: the sizes of the traffic and the samples, and the powers of two up to the largest."""
    free = counted(model.inputs)
    if not free:
        return (1,)
    seen, few = _seen(model, free[0])
    largest = max(seen)
    powers = {2**k for k in range(largest.bit_length())}
    return tuple(sorted({*powers, largest, *(seen if few else ())}))


def counted(inputs: tuple[Tensor, ...]) -> tuple[str, ...]:
    """The inputs with a row per item, which are padded; the others belong to the request, or have a fixed shape."""
    return tuple(tensor.name for tensor in inputs if tensor.per == "item" and tensor.shape[:1] == (None,))


def _seen(model: Model, name: str) -> tuple[set[int], bool]:
    """The sizes of the traffic and of the samples' input `name`, and whether they are few."""
    seen = {*model.batch_sizes, *(len(sample[name]) for sample in model.samples)} - {0} or {1}
    return seen, len(seen) <= MOST_SEEN


def _power(items: int) -> int:
    """The smallest power of two that holds `items`."""
    return 1 << (items - 1).bit_length()


def arguments(model: Model, size: int) -> dict[str, np.ndarray[Any, Any]]:
    """A request of `size` items made of the samples' rows; zeros where there are none. Raises Unsupported."""
    for tensor in model.inputs:
        later = {sample[tensor.name].shape[1:] for sample in model.samples} or {tensor.shape[1:]}
        if len(later) > 1 or None in later.pop():
            raise Unsupported(f"input {tensor.name} has a free axis besides its items, and one shape is built for")
    if not model.samples:
        return {t.name: np.zeros([size if axis is None else axis for axis in t.shape], t.dtype) for t in model.inputs}
    request = dict(model.samples[0])
    for name in counted(model.inputs):
        rows = np.concatenate([sample[name] for sample in model.samples])
        request[name] = np.resize(rows, (size, *rows.shape[1:]))
    return request


def file(folder: Path, size: int, suffix: str) -> Path:
    """Where an artifact's model for `size` items lies."""
    return folder / f"{size}{suffix}"


def files(folder: Path, suffix: str) -> dict[int, Path]:
    """The models of an artifact by size, the smallest first."""
    return {int(path.stem): path for path in sorted(folder.glob(f"*{suffix}"), key=lambda path: int(path.stem))}


def check(model: Model, whole: Call) -> None:
    """Raise Unsupported where `whole`, which takes any size, answers a padded or a cut request otherwise."""
    if changed := _changed(model, whole, counted(model.inputs), model.outputs):
        raise Unsupported(f"output {changed} of an item depends on the request's other items: it cannot be padded")


def _changed(model: Model, whole: Call, padded: Sequence[str], cut: Sequence[str]) -> str | None:
    """The first output that changes where the largest sample is cut in two, or half of it padded to its size."""
    sample = max(model.samples, key=lambda sample: len(sample[padded[0]]), default=None) if padded else None
    if sample is None or len(sample[padded[0]]) == 1:
        return None
    items = len(sample[padded[0]])
    half = (items + 1) // 2
    for request, size in ((_front(sample, padded, half), items), (sample, half)):
        answer = BatchSession({size: whole}, padded, cut).infer(request)
        if changed := _astray(answer, whole(request), LARGEST_CHANGE):
            return changed
    return None


def _front(request: Arrays, padded: Sequence[str], items: int) -> Arrays:
    return {name: values[:items] if name in padded else values for name, values in request.items()}


def prove(call: Call, whole: Call, request: Arrays, limit: float) -> None:
    """Raise Unsupported where `call`, which was built from `whole`, answers further from it than `limit`."""
    if wrong := _astray(call(request), whole(request), limit):
        raise Unsupported(f"what the engine's converter wrote computes output {wrong} wrongly, by more than {limit:g}")


def _astray(answer: Arrays, expected: Arrays, limit: float) -> str | None:
    """The first output that is not within `limit` of the expected one, relative to its size."""
    for name, values in expected.items():
        same = answer[name].shape == values.shape
        if not same or not np.linalg.norm(answer[name].astype(np.float64) - values) <= limit * np.linalg.norm(values):
            return name
    return None


class BatchSession(Session):
    """`calls` by batch size, each of which takes and answers exactly so many items: of them `padded` inputs have a row,
    and `cut` outputs. Where there is one, `other` is the call for all other sizes."""

    def __init__(
        self, calls: Mapping[int, Call], padded: Sequence[str], cut: Sequence[str], other: Call | None = None
    ) -> None:
        self._calls, self._padded, self._cut, self._other = dict(calls), tuple(padded), frozenset(cut), other
        built = tuple(sorted(self._calls))
        self._parts = lru_cache(1024)(lambda items: parts(items, built, other is not None))

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request of any size."""
        items = len(inputs[self._padded[0]]) if self._padded else 1
        if call := self._calls.get(items):
            return call(inputs)
        answers = [self._run(part, inputs) for part in self._parts(items)]
        if len(answers) == 1:
            return answers[0]
        return {
            name: np.concatenate([answer[name] for answer in answers]) if name in self._cut else values
            for name, values in answers[0].items()
        }

    def _run(self, part: Part, inputs: Arrays) -> Arrays:
        filled = {key: values.take(part.rows, 0) if key in self._padded else values for key, values in inputs.items()}
        answers = (self._other or self._calls[part.size])(filled)
        return {name: values[part.kept] if name in self._cut else values for name, values in answers.items()}

    def close(self) -> None:
        """Drop the engine's models."""
        self._calls, self._other = {}, None


def parts(items: int, built: tuple[int, ...], powers: bool = False) -> tuple[Part, ...]:
    """How a request of `items`, which is none of the sizes `built` (ascending), goes through them; with `powers`,
    through them or a power of two, whichever is the least that holds it."""
    if powers:
        built = tuple(sorted((*built, _power(items))))
    largest = built[-1]
    lead = 1 if largest > 1 else 0
    found, start = [_part(np.arange(min(items, largest)), built, 0)], largest
    while start < items:
        rows = np.arange(start, min(items, start + largest - lead))
        found.append(_part(np.concatenate([np.zeros(lead, rows.dtype), rows]), built, lead))
        start += largest - lead
    return tuple(found)


def _part(rows: np.ndarray[Any, Any], built: tuple[int, ...], front: int) -> Part:
    size = next(size for size in built if size >= len(rows))
    return Part(size, np.append(rows, np.full(size - len(rows), rows[-1])), slice(front, len(rows)))
