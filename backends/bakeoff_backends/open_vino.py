"""OpenVINO on the CPU: the ONNX file in fp32 or bf16, or a smaller form of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

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
    has_bf16,
    owned,
    require_device,
    splits,
)
from bakeoff_backends import open_vino_quantising
from bakeoff_backends.open_vino_engine import engine

REMEDY = "pip install 'bakeoff[openvino]'"
INT8, FP16 = "int8-static", "fp16"
WRITERS: Mapping[str, Callable[[Model, Path], None]] = {
    INT8: open_vino_quantising.static,
    FP16: open_vino_quantising.half,
}


class OpenVino(Backend):
    """OpenVINO's CPU plugin. It queues requests over its own streams: an instance is a stream with one request."""

    name: ClassVar[str] = "openvino"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    instances: ClassVar[Instances] = "streams"
    on_request: ClassVar[frozenset[str]] = frozenset(WRITERS) - {INT8}

    def probe(self, device: str) -> Facts:
        """The version and what the CPU plugin says that it is good at."""
        require_device("OpenVINO", device, "cpu")
        try:
            openvino = engine()
        except ImportError as error:
            raise Unavailable(f"openvino cannot be imported: {error}", REMEDY) from error
        core = openvino.Core()
        if "CPU" not in core.available_devices:
            raise Unavailable("OpenVINO finds no CPU device", "reinstall openvino")
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return Facts(openvino.__version__, {"capabilities": ", ".join(capabilities)})

    def precisions(self, device: str) -> tuple[str, ...]:
        """bf16 where the CPU has it, what NNCF writes where it is installed, and fp16, which is stored alone.

        Not NNCF's narrow weights: with them OpenVINO 2026.4 answers wrongly in one process of ten or twenty, for every
        item but the first, from an artifact that is right in the others.
        """
        nncf = find_spec("nncf") is not None
        found = {"bf16": has_bf16(), **{name: nncf or name == FP16 for name in WRITERS}}
        return (FP32, *(name for name, here in found.items() if here))

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into streams x threads: all threads in one stream is its latency mode.

        None without operator fusion: OpenVINO 2026.4 has no public property that switches it off.
        """
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Copy the file (bf16 is a choice at load), or write a smaller form of it in OpenVINO's own format."""
        if precision not in WRITERS:
            return super().build(model, precision, setting, device, into)
        self.require(precision, device)
        path = into / f"model.{precision}.xml"
        WRITERS[precision](model, path)
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
        core = engine().Core()
        return OpenVinoSession(core.compile_model(core.read_model(artifact.path), "CPU", options), artifact)


class OpenVinoSession(Session):
    """One infer request of a compiled model, which belongs to one thread; `lane` makes another."""

    def __init__(self, compiled: Any, artifact: Artifact) -> None:
        self._compiled, self._artifact = compiled, artifact
        self._inputs = [(tensor.name, compiled.input(tensor.name)) for tensor in artifact.inputs]
        self._outputs = [(name, compiled.output(name)) for name in artifact.outputs]
        self._request, self._tensor = compiled.create_infer_request(), engine().Tensor

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request without copying its inputs; the outputs are copied out of the request's own buffers.

        By tensors: a dictionary of arrays costs 15 microseconds on its way through OpenVINO's Python.
        """
        request = self._request
        for name, port in self._inputs:
            values = inputs[name]
            request.set_tensor(port, self._tensor(values, shared_memory=values.flags.writeable))
        request.infer(share_outputs=True)
        return {name: owned(request.get_tensor(port).data) for name, port in self._outputs}

    def lane(self, index: int) -> Session:
        """An infer request of its own for each thread but the first."""
        return OpenVinoSession(self._compiled, self._artifact) if index else self

    def close(self) -> None:
        """Drop the request and the compiled model."""
        self._request = self._compiled = None
        self._inputs, self._outputs = [], []
