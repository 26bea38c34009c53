"""What the ONNX Runtime plugin and its quantisers share: the engine's import, and a session bound to a setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from bakeoff.backends import Arrays, Artifact, Session, Setting, Unavailable, as_float32

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
REMEDIES = {
    "CPUExecutionProvider": "reinstall onnxruntime",
    CUDA: "pip install 'bakeoff[onnxruntime-gpu]', in an environment without onnxruntime",
    TENSORRT: "pip install 'bakeoff[onnxruntime-gpu]', without onnxruntime, and TensorRT 10, whose libnvinfer it links",
}
"""What installs each execution provider."""
LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}
"""ONNX Runtime's graph optimisations by the setting's option `optimisation`: "extended" fuses operators and changes no
layout, "basic" folds constants and drops what is redundant, but fuses next to none, and "none" none at all."""
SLOWER_FUSED = "SkipLayerNormFusion;BiasGeluFusion"
"""Fusions whose CPU kernels are slower than the operators that they join: the sweep in docs/engines.md tries them."""


class OnnxSession(Session):
    """One InferenceSession, which any number of threads may call."""

    def __init__(self, session: Any, artifact: Artifact) -> None:
        self._session = session
        self._outputs = list(artifact.outputs)

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; the runtime hands out fresh arrays."""
        answers = self._session.run(self._outputs, inputs)
        return {name: as_float32(answer) for name, answer in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the session with its threads and arenas."""
        self._session = None


def engine() -> Any:
    """The onnxruntime module, imported with its telemetry off: an upload thread has no place in a measured process."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def provider(setting: Setting, device: str) -> str:
    """The execution provider that a setting wants on a device."""
    if device == "cpu":
        return "CPUExecutionProvider"
    return TENSORRT if setting.options.get("provider") == "tensorrt" else CUDA


def require_provider(setting: Setting, device: str) -> None:
    """Raise Unavailable where this build of ONNX Runtime has not the provider that a setting wants."""
    name, available = provider(setting, device), engine().get_available_providers()
    if name not in available:
        raise Unavailable(f"this onnxruntime has no {name}, only {', '.join(available)}", REMEDIES[name])


def open_session(
    model: str | bytes, setting: Setting, device: str, provided: Mapping[str, Mapping[str, str]] | None = None
) -> Any:
    """An InferenceSession over a file or its bytes, with the setting's knobs and each provider's own options.

    Raises Unavailable where it has not the provider, or falls back to another one, which it does without a word.
    """
    require_provider(setting, device)
    onnxruntime = engine()
    if device == "cuda":
        _load_libraries(onnxruntime, setting)
    spin = bool(setting.options.get("spin", False))
    level = LEVELS[str(setting.options.get("optimisation", "all"))]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if device == "cpu":
        options.add_session_config_entry("optimization.disable_specified_optimizers", SLOWER_FUSED)
    name = provider(setting, device)
    providers = [(each, dict(knobs)) for each, knobs in (provided or {name: {}}).items()]
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    if session.get_providers()[0] != name:
        raise Unavailable(f"onnxruntime fell back from {name} to {session.get_providers()[0]}", REMEDIES[name])
    return session


def _load_libraries(onnxruntime: Any, setting: Setting) -> None:
    """Load CUDA's and TensorRT's libraries from where pip puts them, in which a provider does not look by itself."""
    onnxruntime.preload_dlls()
    if setting.options.get("provider") == "tensorrt":
        with suppress(ImportError, OSError):
            import_module("tensorrt_libs")
