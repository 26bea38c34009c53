"""A module called on tensors in inference mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakeoff.backends import Arrays, Artifact, Option
from bare.loop import Knobs, Loop

KNOBS = Knobs(session={"mkldnn": (True, False), "gradients": ("inference_mode", "no_grad"), "denormals": (True, False)})


def loop(artifact: Artifact, options: Mapping[str, Option]) -> Loop:
    """The exported program as a module."""
    import torch

    torch.set_num_threads(1)
    module = torch.export.load(artifact.path).module()
    without_gradients = getattr(torch, str(options.get("gradients", "inference_mode")))
    mkldnn, denormals = bool(options.get("mkldnn", True)), bool(options.get("denormals", True))

    def call(tensors: tuple[Any, ...]) -> Any:
        with without_gradients():
            return module(*tensors)

    def with_flags(tensors: tuple[Any, ...]) -> Any:
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            torch.set_flush_denormal(not denormals)
            found = call(tensors)
            torch.set_flush_denormal(False)
            return found

    def given(request: Arrays) -> tuple[Any, ...]:
        return tuple(torch.from_numpy(request[tensor.name]) for tensor in artifact.inputs)

    return Loop(given, call if mkldnn and denormals else with_flags)
