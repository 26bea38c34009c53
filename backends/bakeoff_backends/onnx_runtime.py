"""ONNX Runtime: the model file as it is, or with its matrix products quantised on the fly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bakeoff.backends import (
    FP32,
    Arrays,
    Artifact,
    Backend,
    Facts,
    Instances,
    Model,
    Resources,
    Session,
    Setting,
    Unavailable,
    Unsupported,
    cpu_flags,
    splits,
)

if TYPE_CHECKING:
    import onnx

REMEDY = "pip install 'bakeoff[onnxruntime]'"
PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "reinstall onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "pip install onnxruntime-gpu, in an environment without onnxruntime"),
}
INT8 = "int8-dynamic"
LARGEST_PROTOBUF_BYTES = 2**31 - 2**20


class OnnxRuntime(Backend):
    """ONNX Runtime on its CPU or CUDA provider. `run` releases the GIL: instances are threads over one session."""

    name: ClassVar[str] = "onnxruntime"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "threads"

    def probe(self, device: str) -> Facts:
        """The version and its providers; raises Unavailable where a session would fall back to another device."""
        try:
            onnxruntime = _engine()
        except ImportError as error:
            raise Unavailable(f"onnxruntime cannot be imported: {error}", REMEDY) from error
        provider, remedy = _provider(device)
        available = onnxruntime.get_available_providers()
        if provider not in available:
            raise Unavailable(f"this onnxruntime has no {provider}, only {', '.join(available)}", remedy)
        session = _session(_tiny_model(), Setting("probe"), device)
        (answer,) = session.run(None, {"x": np.ones(3, np.float32)})
        if not np.array_equal(answer, np.full(3, 2, np.float32)):
            raise Unavailable(f"onnxruntime computes 1 + 1 = {answer[0]} here", remedy)
        return Facts(onnxruntime.__version__, {"providers": ", ".join(available)})

    def precisions(self, device: str) -> tuple[str, ...]:
        """The dynamically quantised operators exist for the CPU alone; fp16 and bf16 gain nothing there."""
        return (FP32, INT8) if device == "cpu" else (FP32,)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores; with several threads also one that spins within a call (and not between calls).

        Spinning saves the wake-ups of small operators (a small DLRM at batch 32: 75 against 113 microseconds) and
        wastes the core of whoever shares it.
        """
        plain = splits(resources)
        spinning = [Setting(f"{s.name}-spin", s.threads, s.instances, {"spin": True}) for s in plain if s.threads > 1]
        return (*plain, *spinning)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the file, or quantise its MatMul and Gemm weights; raises Unsupported where none can be."""
        if precision != INT8:
            return super().build(model, precision, setting, device, into)
        self.require(precision, device)
        path = into / "model.int8.onnx"
        _quantise(model.file("onnx"), path)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """A session on `device`, bound to the setting's threads."""
        return OnnxSession(_session(str(artifact.path), setting, device), artifact)


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


def _engine() -> Any:
    """The onnxruntime module, imported with its telemetry off: an upload thread has no place in a measured process."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _provider(device: str) -> tuple[str, str]:
    try:
        return PROVIDERS[device]
    except KeyError:
        raise Unavailable(f"this plugin knows no device {device}", f"use one of {', '.join(PROVIDERS)}") from None


def _session(model: str | bytes, setting: Setting, device: str) -> Any:
    onnxruntime = _engine()
    spin = bool(setting.options.get("spin", False))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = setting.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    provider, remedy = _provider(device)
    session = onnxruntime.InferenceSession(model, options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise Unavailable(f"onnxruntime fell back from {provider} to {session.get_providers()[0]}", remedy)
    return session


def _float32(answer: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return answer.astype(np.float32, copy=False) if answer.dtype.kind == "f" else answer


def _quantise(source: Path, path: Path) -> None:
    """Write the model with int8 weights per channel, each activation quantised at the call.

    The recorded intermediate shapes are cleared first: an exporter's may contradict what quantising finds anew.
    ORT's own pre-processing is left out: it changed no timing on a DLRM and a transformer.
    Where products of bytes saturate, weights keep seven bits, as the documentation says.
    """
    _engine()
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    before = len(model.graph.node)
    del model.graph.value_info[:]
    try:
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=_int8_saturates(),
            weight_type=QuantType.QInt8,
            use_external_data_format=model.ByteSize() > LARGEST_PROTOBUF_BYTES,
        )
    except Exception as error:
        raise Unsupported(f"onnxruntime cannot quantise it: {type(error).__name__}: {error}") from error
    if not _quantised(onnx.load(path, load_external_data=False)):
        raise Unsupported(f"nothing to quantise: none of its {before} nodes is a MatMul or Gemm with constant weights")


def _int8_saturates() -> bool:
    """x86 without VNNI adds pairs of byte products in 16 bits."""
    flags = cpu_flags()
    return "avx2" in flags and flags.isdisjoint({"avx512_vnni", "avx_vnni"})


def _quantised(model: onnx.ModelProto) -> bool:
    return any(node.op_type in {"DynamicQuantizeLinear", "DynamicQuantizeMatMul"} for node in model.graph.node)


def _tiny_model() -> bytes:
    """y = x + x, which every provider can run."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "tiny", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data
