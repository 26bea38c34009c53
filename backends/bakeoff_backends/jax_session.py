"""A loaded StableHLO program: executables by the shapes of a request, over one copy of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Session
from bakeoff_backends.batch_ladder import Ladder

if TYPE_CHECKING:
    from jax.export import Exported

Shapes = tuple[tuple[int, ...], ...]


class JaxSession(Session):
    """Compiles for the ladder's sizes at once, and for any other shapes when they first come."""

    def __init__(self, exported: Exported, weights: list[Any], artifact: Artifact, ladder: Ladder) -> None:
        import jax

        self._jitted, self._weights, self._device_get = jax.jit(exported.call), weights, jax.device_get
        self._inputs, self._outputs, self._ladder = artifact.inputs, artifact.outputs, ladder
        self._executables: dict[Shapes, Any] = {}
        axes = [aval.shape for aval in exported.in_avals[len(weights) :]]
        for size in ladder.sizes:
            self._executable(tuple(tuple(n if isinstance(n, int) else size for n in shape) for shape in axes))

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request on the executable of its shapes, or padded on that of the next size."""
        arrays = [inputs[tensor.name] for tensor in self._inputs]
        run = self._executables.get(tuple(values.shape for values in arrays))
        if run is not None:
            answers = self._device_get(run(self._weights, *arrays))
        else:
            items, arrays = self._ladder.items(arrays), self._ladder.pad(arrays)
            run = self._executable(tuple(values.shape for values in arrays))
            answers = self._ladder.unpad(self._device_get(run(self._weights, *arrays)), items)
        return {name: _owned(values) for name, values in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the executables and the weights."""
        self._executables, self._weights = {}, []

    def _executable(self, shapes: Shapes) -> Any:
        import jax

        if shapes not in self._executables:
            pairs = zip(shapes, self._inputs, strict=True)
            arguments = [jax.ShapeDtypeStruct(shape, tensor.dtype) for shape, tensor in pairs]
            self._executables[shapes] = self._jitted.lower(self._weights, *arguments).compile()
        return self._executables[shapes]


def _owned(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy, floats as float32: what JAX hands out may be its own buffer."""
    floats = values.dtype.kind == "f" or values.dtype.name == "bfloat16"
    return np.array(values, dtype=np.float32 if floats else None, order="C")
