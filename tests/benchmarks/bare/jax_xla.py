"""An exported program, compiled for each shape and called on arrays of the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(
    session={"jax_cpu_enable_async_dispatch": (False, True)},
    process={
        "XLA_FLAGS": (
            "",
            "--xla_cpu_enable_fast_math=true",
            "--xla_cpu_multi_thread_eigen=false",
            "--xla_cpu_prefer_vector_width=512",
            "--xla_cpu_use_thunk_runtime=false",
        )
    },
)


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """`jax.export`'s way to call a stored program, its weights as arguments, as they are stored."""
    import jax
    import jax.export

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", bool(options.get("jax_cpu_enable_async_dispatch", False)))
    exported = jax.export.deserialize(artifact.path.read_bytes())
    with np.load(artifact.path.parent / "weights.npz") as stored:
        weights = [jax.device_put(stored[name]) for name in stored.files]
    jitted, compiled = jax.jit(exported.call), {}

    def given(request: Arrays) -> tuple[Any, list[Any]]:
        arrays = [jax.device_put(request[tensor.name]) for tensor in artifact.inputs]
        shapes = tuple(array.shape for array in arrays)
        if shapes not in compiled:
            compiled[shapes] = jitted.lower(weights, *arrays).compile()
        return compiled[shapes], arrays

    def call(prepared: tuple[Any, list[Any]]) -> Any:
        run, arrays = prepared
        return jax.block_until_ready(run(weights, *arrays))

    return Loop(given, call)
