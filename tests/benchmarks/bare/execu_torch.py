"""ExecuTorch's method.execute on tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs()
"""Nothing but the number of threads: delegates are chosen when the program is written."""


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """A method for each size of request, loaded when the first of it comes."""
    import torch
    from executorch.runtime import Runtime

    methods: dict[int, Any] = {}
    counted = next(tensor.name for tensor in artifact.inputs if tensor.per == "item")

    def given(request: Arrays) -> tuple[Any, list[Any]]:
        size = len(request[counted])
        if size not in methods:
            program = Runtime.get().load_program(artifact.path / f"{size}.pte")
            methods[size] = program.load_method("forward")
        return methods[size], [torch.from_numpy(request[tensor.name]) for tensor in artifact.inputs]

    def call(prepared: tuple[Any, list[Any]]) -> Any:
        method, tensors = prepared
        return method.execute(tensors)

    return Loop(given, call)
