"""A loaded StableHLO program: an executable per batch size; a request of another size is padded to the next one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Session

if TYPE_CHECKING:
    from jax.export import Exported

Array = np.ndarray[Any, Any]

MOST_SIZES = 16
"""Of more batch sizes than these, only powers of two and the largest get an executable of their own."""


class JaxSession(Session):
    """Executables by the shapes of a request, over one copy of the weights.

    Where one free axis alone counts the items, executables for `batch_sizes` are compiled at once. Further sizes are
    padded to a power of two, which is compiled when it is first needed; a model with other free axes is compiled for
    each request's shapes.
    """

    def __init__(self, exported: Exported, weights: list[Any], artifact: Artifact, batch_sizes: Iterable[int]) -> None:
        import jax

        self._jitted, self._weights, self._device_get = jax.jit(exported.call), weights, jax.device_get
        self._inputs, self._outputs = artifact.inputs, artifact.outputs
        axes = [_axes(aval) for aval in exported.in_avals[len(weights) :]]
        free = {axis for shape in axes for axis in shape if isinstance(axis, str)}
        self._padded = [
            shape[:1] == tuple(free) and tensor.per == "item"
            for shape, tensor in zip(axes, artifact.inputs, strict=True)
        ]
        self._cut = [_axes(aval)[:1] == tuple(free) for aval in exported.out_avals]
        self._pads = len(free) == 1 and any(self._padded)
        self._executables: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._sizes = own_sizes(batch_sizes) if self._pads else ()
        for size in self._sizes:
            self._executable(tuple(tuple(size if isinstance(n, str) else n for n in shape) for shape in axes))

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request on the executable of its shapes, or padded on that of the next size."""
        arrays = [inputs[tensor.name] for tensor in self._inputs]
        run = self._executables.get(tuple(values.shape for values in arrays))
        if run is None:
            return self._infer_anew(arrays)
        answers = self._device_get(run(self._weights, *arrays))
        return {name: _owned(values) for name, values in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the executables and the weights."""
        self._executables, self._weights = {}, []

    def _infer_anew(self, arrays: list[Array]) -> Arrays:
        items = next((len(values) for values, padded in zip(arrays, self._padded, strict=True) if padded), 0)
        if self._pads:
            size = rung(items, self._sizes)
            arrays = [_pad(x, size) if padded else x for x, padded in zip(arrays, self._padded, strict=True)]
        answers = self._device_get(self._executable(tuple(x.shape for x in arrays))(self._weights, *arrays))
        return {
            name: _owned(values[:items] if self._pads and cut else values)
            for name, values, cut in zip(self._outputs, answers, self._cut, strict=True)
        }

    def _executable(self, shapes: tuple[tuple[int, ...], ...]) -> Any:
        import jax

        if shapes not in self._executables:
            arguments = [
                jax.ShapeDtypeStruct(shape, tensor.dtype) for shape, tensor in zip(shapes, self._inputs, strict=True)
            ]
            self._executables[shapes] = self._jitted.lower(self._weights, *arguments).compile()
        return self._executables[shapes]


def own_sizes(batch_sizes: Iterable[int]) -> tuple[int, ...]:
    """The batch sizes that get an executable of their own at load, ascending."""
    sizes = sorted(set(batch_sizes))
    if len(sizes) <= MOST_SIZES:
        return tuple(sizes)
    return tuple(sorted({min(1 << (size - 1).bit_length(), sizes[-1]) for size in sizes}))


def rung(items: int, sizes: Sequence[int]) -> int:
    """The size that a request of `items` is padded to: the next of `sizes` or power of two."""
    power = 1 << max(items - 1, 0).bit_length()
    return min([power, *(size for size in sizes if size >= items)])


def _axes(aval: Any) -> tuple[int | str, ...]:
    return tuple(size if isinstance(size, int) else str(size) for size in aval.shape)


def _pad(values: Array, size: int) -> Array:
    """Repeats of the last row behind the others."""
    return np.concatenate([values, np.repeat(values[-1:], size - len(values), axis=0)])


def _owned(values: Any) -> Array:
    array = np.asarray(values)
    return np.array(array, dtype=np.float32 if array.dtype.kind == "f" or array.dtype.name == "bfloat16" else None, order="C")
