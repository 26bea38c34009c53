"""A loaded StableHLO program as a call: executables by the shapes of a request, over one copy of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, owned

if TYPE_CHECKING:
    from jax.export import Exported

CONSTANT_BYTES = 1 << 20
"""The largest weight that each executable has for itself."""


class JaxCall:
    """Compiles for the shapes of a request when they first come.

    Small weights are constants of each executable, of which XLA makes more than of arguments; a table is an argument,
    or it would be there once for each size.

    It calls the jitted function with numpy arrays, which go through C++ alone and are taken as they are where they are
    aligned; an executable of `lower().compile()` takes its arguments through Python.
    """

    def __init__(self, exported: Exported, weights: list[Any], artifact: Artifact) -> None:
        import jax

        small = {place: weight for place, weight in enumerate(weights) if weight.nbytes <= CONSTANT_BYTES}
        places = range(len(weights))

        def call(large: list[Any], *inputs: Any) -> Any:
            left = iter(large)
            return exported.call([small[place] if place in small else next(left) for place in places], *inputs)

        self._run = jax.jit(call)
        self._weights = [weights[place] for place in places if place not in small]
        self._inputs = tuple(tensor.name for tensor in artifact.inputs)
        self._outputs = artifact.outputs
        self._shapes = exported.in_avals[len(weights) :]

    def __call__(self, inputs: Arrays) -> Arrays:
        """Run one request on the executable of its shapes; what JAX hands out may be its own buffer."""
        answers = self._run(self._weights, *[inputs[name] for name in self._inputs])
        return {name: owned(np.asarray(answer)) for name, answer in zip(self._outputs, answers, strict=True)}

    def compile(self, size: int) -> None:
        """Compile for a size ahead of its first request."""
        shapes = zip(self._inputs, self._shapes, strict=True)
        self({name: np.zeros([n if isinstance(n, int) else size for n in x.shape], x.dtype) for name, x in shapes})
