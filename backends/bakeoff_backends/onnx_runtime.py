"""ONNX Runtime: the model file as it is, or with its matrix products quantised or in fp16."""

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
    Option,
    Resources,
    Session,
    Setting,
    Unavailable,
    require_device,
    splits,
)
from bakeoff_backends import onnx_casting, onnx_cuda, onnx_mixed, onnx_quantising, onnx_weight_only
from bakeoff_backends.nvidia_driver import Driver
from bakeoff_backends.onnx_session import TENSORRT, OnnxSession, engine, open_session, provider, require_provider

REMEDY = "pip install 'bakeoff[onnxruntime]'"
INT8, FP16 = "int8-dynamic", "fp16"
QUANTISERS: Mapping[str, Callable[..., None]] = {
    INT8: onnx_quantising.dynamic,
    "int8-static": onnx_quantising.static,
    "int8-mixed": onnx_mixed.mixed,
    "int8-weight-only": partial(onnx_weight_only.weight_only, bits=8),
    "int4-weight-only": partial(onnx_weight_only.weight_only, bits=4),
}
WRITERS: Mapping[str, Callable[..., None]] = {**QUANTISERS, FP16: partial(onnx_casting.cast_products, precision=FP16)}
"""Whatever writes another file than the model's own."""


class OnnxRuntime(Backend):
    """ONNX Runtime by its CPU, CUDA or TensorRT provider. `run` releases the GIL: instances are threads over one."""

    name: ClassVar[str] = "onnxruntime"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "threads"
    on_request: ClassVar[frozenset[str]] = frozenset(QUANTISERS) - {INT8}

    def probe(self, device: str) -> Facts:
        """The version and its providers; raises Unavailable where a session would fall back to another device."""
        require_device("ONNX Runtime", device, "cpu", "cuda")
        try:
            onnxruntime = engine()
        except ImportError as error:
            raise Unavailable(f"onnxruntime cannot be imported: {error}", REMEDY) from error
        setting = Setting("probe")
        require_provider(setting, device)
        gpu = {"gpu": Driver().name} if device == "cuda" else {}
        session = open_session(_tiny_model(), setting, device)
        (answer,) = session.run(None, {"x": np.ones(3, np.float32)})
        if not np.array_equal(answer, np.full(3, 2, np.float32)):
            raise Unavailable(f"onnxruntime computes 1 + 1 = {answer[0]} here", "reinstall onnxruntime")
        return Facts(onnxruntime.__version__, {"providers": ", ".join(onnxruntime.get_available_providers()), **gpu})

    def precisions(self, device: str) -> tuple[str, ...]:
        """The quantised operators are the CPU's; fp16 and bf16 gain nothing there. Weight-only needs onnx-ir.

        On a GPU fp32 is never TF32; before Ampere, tf32 is the same as fp32.
        """
        if device == "cuda":
            return (FP32, onnx_cuda.TF32, FP16)
        missing = set() if find_spec("onnx_ir") else {"int8-weight-only", "int4-weight-only"}
        return (FP32, *(name for name in QUANTISERS if name not in missing))

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores; with several threads also one that spins within a call (and not between calls).

        Spinning saves the wake-ups of small operators (a small DLRM at batch 32: 75 against 113 microseconds) and
        wastes the core of whoever shares it. On request, to see what operator fusion is worth: "-nofuse" leaves the
        graph as it is, "-basic" folds its constants and drops what is redundant, "-extended" fuses and changes no
        layout.
        On a GPU one request at a time or as many as there are cores, by the CUDA provider or TensorRT's ("-tensorrt").
        """
        if resources.gpus:
            return onnx_cuda.settings(resources)
        plain = splits(resources)
        spinning = [Setting(f"{s.name}-spin", s.threads, s.instances, {"spin": True}) for s in plain if s.threads > 1]
        levels = {"nofuse": "none", "basic": "basic", "extended": "extended"}
        unfused = [
            Setting(f"{s.name}-{suffix}", s.threads, s.instances, {"optimisation": level}, on_request=True)
            for suffix, level in levels.items()
            for s in plain
        ]
        return (*plain, *spinning, *unfused)

    def build_depends_on(self, setting: Setting) -> Mapping[str, Option]:
        """TensorRT's engines lie beside the file; every other setting is a choice at load."""
        return {"provider": "tensorrt"} if setting.options.get("provider") == "tensorrt" else {}

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the file, quantise its MatMul and Gemm weights or cast them; raises Unsupported where none can be.

        For TensorRT's provider the engines are built here, into the artifact's folder.
        """
        self.require(precision, device)
        require_provider(setting, device)
        if precision in WRITERS:
            path = into / f"model.{precision}.onnx"
            WRITERS[precision](model, path=path)
            artifact = Artifact(path, precision, model.inputs, model.outputs)
        else:
            artifact = super().build(model, precision, setting, device, into)
        if provider(setting, device) == TENSORRT:
            onnx_cuda.build_engines(artifact, model, setting)
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A session on `device`, bound to the setting's threads."""
        if device == "cuda":
            return onnx_cuda.BoundSession(onnx_cuda.open_on_gpu(artifact, setting), artifact, device)
        return OnnxSession(open_session(str(artifact.path), setting, device), artifact)


def _tiny_model() -> bytes:
    """y = x + x, which every provider can run."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data
