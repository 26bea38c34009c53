"""What an engine's bare loop is: a call on inputs that are the engine's own already, as its documentation shows it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from bakeoff.backends import Arrays, Option

MODULES = {
    "executorch": "execu_torch",
    "jax": "jax_xla",
    "litert": "lite_rt",
    "mnn": "mnn_express",
    "onnxruntime": "onnx_runtime",
    "openvino": "open_vino",
    "tensorflow": "tensor_flow",
    "torch": "torch_eager",
    "torch-compile": "torch_compile",
    "tvm": "apache_tvm",
}
"""Each has `loop(artifact, options) -> Loop`, and `KNOBS`: what its documentation offers, the preset's values first."""


@dataclass(frozen=True, slots=True)
class Loop:
    """`given` turns a request into what `call` takes; only `call` is timed. Answers stay where the engine puts them."""

    given: Callable[[Arrays], Any]
    call: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Knobs:
    """Values by a knob's name, the preset's first: of a session, of a process (environment variables), of a build.

    `offered` are the plugin's further settings, which a run measures without being asked, by the values they change.
    """

    session: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    process: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    build: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    offered: tuple[Mapping[str, Option], ...] = ()


def module(engine: str) -> ModuleType:
    """The engine's file, which imports the engine in its functions alone."""
    return importlib.import_module(f"bare.{MODULES[engine]}")
