"""Fixed batch sizes, for engines without a free batch axis: an artifact is a folder with one file per size.

A request takes the next size up, its last row repeated to fill it, and what was answered to the repeats is cut off. One
beyond the largest size (held-out data, or what a batcher joined) is cut into calls, each led by its first row again.
`check` refuses a model that answers otherwise for it: one whose items look at each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Model, Session, Tensor, Unsupported

MOST_SEEN = 16
"""Of the traffic's own sizes; where it has more, the powers of two and the largest must do."""
LARGEST_CHANGE = 1e-3

Call = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Part:
    """One call: the size built, the request's `rows` that fill it, and the answers kept."""

    size: int
    rows: np.ndarray[Any, Any]
    kept: slice


def sizes(model: Model) -> tuple[int, ...]:
    """What to build for: the sizes of the traffic and the samples, and the powers of two up to the largest."""
    free = counted(model.inputs)
    if not free:
        return (1,)
    seen = {*model.batch_sizes, *(len(sample[free[0]]) for sample in model.samples)} - {0} or {1}
    largest = max(seen)
    powers = {2**k for k in range(largest.bit_length())}
    return tuple(sorted({*powers, largest, *(seen if len(seen) <= MOST_SEEN else ())}))


def counted(inputs: tuple[Tensor, ...]) -> list[str]:
    """The inputs with a row per item, which are padded; the others belong to the request, or have a fixed shape."""
    return [tensor.name for tensor in inputs if tensor.per == "item" and tensor.shape[:1] == (None,)]


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
    free = counted(model.inputs)
    sample = max(model.samples, key=lambda sample: len(sample[free[0]]), default=None) if free else None
    if sample is None or len(sample[free[0]]) == 1:
        return
    items = len(sample[free[0]])
    half = (items + 1) // 2
    for request, size in ((_front(sample, free, half), items), (sample, half)):
        answer = BatchSession({size: whole}, model.inputs).infer(request)
        if changed := _astray(answer, whole(request), LARGEST_CHANGE):
            raise Unsupported(f"output {changed} of an item depends on the request's other items: it cannot be padded")


def _front(request: Arrays, free: list[str], items: int) -> Arrays:
    return {name: values[:items] if name in free else values for name, values in request.items()}


def prove(call: Call, whole: Call, request: Arrays, limit: float) -> None:
    """Raise Unsupported where `call`, which was built from `whole`, answers further from it than `limit`."""
    if wrong := _astray(call(request), whole(request), limit):
        raise Unsupported(f"what the engine's converter wrote computes output {wrong} wrongly, by more than {limit:g}")


def _astray(answer: Arrays, expected: Arrays, limit: float) -> str | None:
    """The first output that is not within `limit` of the expected one, relative to its size."""
    for name, values in expected.items():
        same = answer[name].shape == values.shape
        if not same or not np.linalg.norm(answer[name] - values) <= limit * np.linalg.norm(values):
            return name
    return None


class BatchSession(Session):
    """`calls` by batch size, each of which takes and answers exactly so many items."""

    def __init__(self, calls: Mapping[int, Call], inputs: tuple[Tensor, ...]) -> None:
        self._calls, self._free = dict(calls), counted(inputs)
        built = tuple(sorted(self._calls))
        self._parts = lru_cache(1024)(lambda items: parts(items, built))

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request of any size."""
        items = len(inputs[self._free[0]]) if self._free else 1
        if call := self._calls.get(items):
            return call(inputs)
        answers = [self._run(part, inputs) for part in self._parts(items)]
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def _run(self, part: Part, inputs: Arrays) -> Arrays:
        filled = {key: values.take(part.rows, 0) if key in self._free else values for key, values in inputs.items()}
        return {name: values[part.kept] for name, values in self._calls[part.size](filled).items()}

    def close(self) -> None:
        """Drop the engine's models."""
        self._calls = {}


def parts(items: int, built: tuple[int, ...]) -> tuple[Part, ...]:
    """How a request of `items`, which is none of the sizes `built` (ascending), goes through them."""
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
