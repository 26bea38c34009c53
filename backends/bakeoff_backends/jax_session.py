"""A loaded StableHLO program: executables by the shapes of a request, over one copy of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Session
from bakeoff_backends.batch_ladder import Ladder

if TYPE_CHECKING:
    from jax.export import Exported

Array = np.ndarray[Any, Any]

CONSTANT_BYTES = 1 << 20
"""The largest weight that each executable has for itself."""


class JaxSession(Session):
    """Compiles for the ladder's sizes at once, and for any other shapes when they first come.

    Small weights are constants of each executable, of which XLA makes more than of arguments; a table is an argument,
    or it would be there once for each size.

    It calls the jitted function with numpy arrays, which go through C++ alone and are taken as they are where they are
    aligned; an executable of `lower().compile()` takes its arguments through Python.
    """

    def __init__(self, exported: Exported, weights: list[Any], artifact: Artifact, ladder: Ladder) -> None:
        import jax

        small = {place: weight for place, weight in enumerate(weights) if weight.nbytes <= CONSTANT_BYTES}
        places = range(len(weights))

        def call(large: list[Any], *inputs: Any) -> Any:
            left = iter(large)
            return exported.call([small[place] if place in small else next(left) for place in places], *inputs)

        self._run = jax.jit(call)
        self._weights = [weights[place] for place in places if place not in small]
        self._inputs = tuple(tensor.name for tensor in artifact.inputs)
        self._outputs, self._ladder = artifact.outputs, ladder
        self._counted = ladder.padded.index(True) if ladder.sizes else None
        avals = exported.in_avals[len(weights) :]
        for size in ladder.sizes:
            shapes = [tuple(n if isinstance(n, int) else size for n in aval.shape) for aval in avals]
            self._call([np.zeros(shape, aval.dtype) for shape, aval in zip(shapes, avals, strict=True)])

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request on the executable of its shapes, or padded on that of the next size."""
        arrays = [inputs[name] for name in self._inputs]
        if self._counted is None or (items := len(arrays[self._counted])) in self._ladder.sizes:
            answers = self._call(arrays)
        else:
            answers = self._ladder.unpad(self._call(self._ladder.pad(arrays)), items)
        return {name: _owned(values) for name, values in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the executables and the weights."""
        self._run, self._weights = None, []

    def _call(self, arrays: Sequence[Array]) -> list[Array]:
        return [np.asarray(answer) for answer in self._run(self._weights, *arrays)]


def _owned(values: Array) -> Array:
    """A copy, floats as float32: what JAX hands out may be its own buffer."""
    if values.dtype == np.float32:
        return values.copy()
    floats = values.dtype.kind == "f" or values.dtype.name == "bfloat16"
    return np.array(values, dtype=np.float32 if floats else None, order="C")
