"""What the ONNX Runtime plugin and its quantisers share: the engine's import, and a session bound to a setting."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Session, Setting, Unavailable

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "reinstall onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "pip install onnxruntime-gpu, in an environment without onnxruntime"),
}
LEVELS = {"all": "ORT_ENABLE_ALL", "basic": "ORT_ENABLE_BASIC", "none": "ORT_DISABLE_ALL"}
"""ONNX Runtime's graph optimisations by the setting's option `optimisation`: the last fuses no operators, the middle
one folds constants and drops what is redundant, but fuses next to none."""


class OnnxSession(Session):
    """One InferenceSession, which any number of threads may call."""

    def __init__(self, session: Any, artifact: Artifact) -> None:
        self._session = session
        self._outputs = list(artifact.outputs)

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request; the runtime hands out fresh arrays."""
        answers = self._session.run(self._outputs, inputs)
        return {name: _float32(answer) for name, answer in zip(self._outputs, answers, strict=True)}

    def close(self) -> None:
        """Drop the session with its threads and arenas."""
        self._session = None


def engine() -> Any:
    """The onnxruntime module, imported with its telemetry off: an upload thread has no place in a measured process."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def provider(device: str) -> tuple[str, str]:
    """The execution provider for a device, and what installs it."""
    try:
        return PROVIDERS[device]
    except KeyError:
        raise Unavailable(f"this plugin knows no device {device}", f"use one of {', '.join(PROVIDERS)}") from None


def open_session(model: str | bytes, setting: Setting, device: str) -> Any:
    """An InferenceSession over a file or its bytes, with the setting's knobs; raises Unavailable off its device."""
    onnxruntime = engine()
    spin = bool(setting.options.get("spin", False))
    level = LEVELS[str(setting.options.get("optimisation", "all"))]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    name, remedy = provider(device)
    session = onnxruntime.InferenceSession(model, options, providers=[name])
    if session.get_providers()[0] != name:
        raise Unavailable(f"onnxruntime fell back from {name} to {session.get_providers()[0]}", remedy)
    return session


def _float32(answer: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return answer.astype(np.float32, copy=False) if answer.dtype.kind == "f" else answer
