"""OpenVINO on the CPU: the ONNX file, in fp32, bf16, or int8 calibrated on real requests by NNCF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

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
    has_bf16,
    splits,
)

REMEDY = "pip install 'bakeoff[openvino]'"
INT8 = "int8-static"
CALIBRATION_REQUESTS = 300
"""NNCF's own default; more does not change its ranges."""


class OpenVino(Backend):
    """OpenVINO's CPU plugin. It queues requests over its own streams: an instance is a stream with one request."""

    name: ClassVar[str] = "openvino"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "streams"

    def probe(self, device: str) -> Facts:
        """The version and what the CPU plugin says that it is good at."""
        if device != "cpu":
            raise Unavailable(f"this plugin drives OpenVINO on the CPU, not on {device}", "set resources.device to cpu")
        try:
            openvino = _engine()
        except ImportError as error:
            raise Unavailable(f"openvino cannot be imported: {error}", REMEDY) from error
        core = openvino.Core()
        if "CPU" not in core.available_devices:
            raise Unavailable("OpenVINO finds no CPU device", "reinstall openvino")
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return Facts(openvino.__version__, {"capabilities": ", ".join(capabilities)})

    def precisions(self, device: str) -> tuple[str, ...]:
        """bf16 where the CPU has it; int8 where NNCF is installed."""
        from importlib.util import find_spec

        found = {"bf16": has_bf16(), INT8: find_spec("nncf") is not None}
        return (FP32, *(name for name, here in found.items() if here))

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into streams x threads: all threads in one stream is its latency mode."""
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the file (bf16 is a choice at load), or quantise it to OpenVINO's own format."""
        if precision != INT8:
            return super().build(model, precision, setting, device, into)
        self.require(precision, device)
        path = into / "model.int8.xml"
        _quantise(model, path)
        return Artifact(path, precision, model.inputs, model.outputs)

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """Compile the model for `instances` streams on `threads` cores each, with the precision said explicitly.

        Pinning is off: the worker's own affinity says which cores are its, and two pinned models share one core.
        """
        options: dict[str, str | int | bool] = {
            "PERFORMANCE_HINT": "LATENCY" if setting.instances == 1 else "THROUGHPUT",
            "NUM_STREAMS": setting.instances,
            "INFERENCE_NUM_THREADS": setting.threads * setting.instances,
            "INFERENCE_PRECISION_HINT": "bf16" if artifact.precision == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        core = _engine().Core()
        return OpenVinoSession(core.compile_model(core.read_model(artifact.path), "CPU", options), artifact)


class OpenVinoSession(Session):
    """One infer request of a compiled model, which belongs to one thread; `lane` makes another."""

    def __init__(self, compiled: Any, artifact: Artifact) -> None:
        self._compiled, self._artifact = compiled, artifact
        self._ports = [(name, compiled.output(name)) for name in artifact.outputs]
        self._request = compiled.create_infer_request()

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request without copying its inputs; the outputs are copied out of the request's own buffers."""
        results = self._request.infer(inputs, share_inputs=True, share_outputs=True)
        return {name: _owned(results[port]) for name, port in self._ports}

    def lane(self, index: int) -> Session:
        """An infer request of its own for each thread but the first."""
        return OpenVinoSession(self._compiled, self._artifact) if index else self

    def close(self) -> None:
        """Drop the request and the compiled model."""
        self._request = self._compiled = None
        self._ports = []


def _engine() -> Any:
    """The openvino module, imported with its telemetry off, which it is wherever CI is set and nowhere else."""
    os.environ.setdefault("CI", "true")
    import openvino

    return openvino


def _owned(result: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array(result, dtype=np.float32 if result.dtype.kind == "f" else None, order="C")


def _quantise(model: Model, path: Path) -> None:
    """Write the model with int8 weights and activations whose ranges come from the model's sample requests.

    Asymmetric activations (MIXED). The transformer scheme suits whatever lives by matrix products: it was both faster
    and nearer to fp32 on a DLRM and a transformer. Convolutional models take the general one.
    """
    openvino = _engine()
    import nncf

    if not model.samples:
        raise Unsupported("int8-static needs sample requests to calibrate on, and this model comes without")
    network = openvino.Core().read_model(model.file("onnx"))
    convolutional = any(node.get_type_name() == "Convolution" for node in network.get_ops())
    quantised = nncf.quantize(
        network,
        nncf.Dataset([dict(sample) for sample in model.samples]),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=None if convolutional else nncf.ModelType.TRANSFORMER,
        subset_size=min(CALIBRATION_REQUESTS, len(model.samples)),
    )
    if not any(node.get_type_name() == "FakeQuantize" for node in quantised.get_ops()):
        raise Unsupported("nothing to quantise: NNCF found no layer with constant weights")
    openvino.save_model(quantised, path, compress_to_fp16=False)
