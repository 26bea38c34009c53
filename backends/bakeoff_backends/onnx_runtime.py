"""ONNX Runtime: the model file as it is, or with its matrix products quantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from bakeoff.backends import (
    FP32,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Resources,
    Session,
    Setting,
    Unavailable,
    splits,
)
from bakeoff_backends import onnx_mixed, onnx_quantising, onnx_weight_only
from bakeoff_backends.onnx_session import OnnxSession, engine, open_session, provider

REMEDY = "pip install 'bakeoff[onnxruntime]'"
INT8 = "int8-dynamic"
QUANTISERS: Mapping[str, Callable[[Model, Path], None]] = {
    INT8: onnx_quantising.dynamic,
    "int8-static": onnx_quantising.static,
    "int8-mixed": onnx_mixed.mixed,
    "int8-weight-only": partial(onnx_weight_only.weight_only, bits=8),
    "int4-weight-only": partial(onnx_weight_only.weight_only, bits=4),
}


class OnnxRuntime(Backend):
    """ONNX Runtime on its CPU or CUDA provider. `run` releases the GIL: instances are threads over one session."""

    name: ClassVar[str] = "onnxruntime"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "threads"
    on_request: ClassVar[frozenset[str]] = frozenset(QUANTISERS) - {INT8}

    def probe(self, device: str) -> Facts:
        """The version and its providers; raises Unavailable where a session would fall back to another device."""
        try:
            onnxruntime = engine()
        except ImportError as error:
            raise Unavailable(f"onnxruntime cannot be imported: {error}", REMEDY) from error
        name, remedy = provider(device)
        available = onnxruntime.get_available_providers()
        if name not in available:
            raise Unavailable(f"this onnxruntime has no {name}, only {', '.join(available)}", remedy)
        session = open_session(_tiny_model(), Setting("probe"), device)
        (answer,) = session.run(None, {"x": np.ones(3, np.float32)})
        if not np.array_equal(answer, np.full(3, 2, np.float32)):
            raise Unavailable(f"onnxruntime computes 1 + 1 = {answer[0]} here", remedy)
        return Facts(onnxruntime.__version__, {"providers": ", ".join(available)})

    def precisions(self, device: str) -> tuple[str, ...]:
        """The quantised operators are the CPU's; fp16 and bf16 gain nothing there. Weight-only needs onnx-ir."""
        if device != "cpu":
            return (FP32,)
        missing = set() if find_spec("onnx_ir") else {"int8-weight-only", "int4-weight-only"}
        return (FP32, *(name for name in QUANTISERS if name not in missing))

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores; with several threads also one that spins within a call (and not between calls).

        Spinning saves the wake-ups of small operators (a small DLRM at batch 32: 75 against 113 microseconds) and
        wastes the core of whoever shares it. On request, to see what operator fusion is worth: "-nofuse" leaves the
        graph as it is, "-basic" folds its constants and drops what is redundant.
        """
        plain = splits(resources)
        spinning = [Setting(f"{s.name}-spin", s.threads, s.instances, {"spin": True}) for s in plain if s.threads > 1]
        levels = {"nofuse": "none", "basic": "basic"}
        unfused = [
            Setting(f"{s.name}-{suffix}", s.threads, s.instances, {"optimisation": level}, on_request=True)
            for suffix, level in levels.items()
            for s in plain
        ]
        return (*plain, *spinning, *unfused)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the file, or quantise its MatMul and Gemm weights; raises Unsupported where none can be."""
        if precision not in QUANTISERS:
            return super().build(model, precision, setting, device, into)
        self.require(precision, device)
        path = into / f"model.{precision}.onnx"
        QUANTISERS[precision](model, path)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A session on `device`, bound to the setting's threads."""
        return OnnxSession(open_session(str(artifact.path), setting, device), artifact)


def _tiny_model() -> bytes:
    """y = x + x, which every provider can run."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data
