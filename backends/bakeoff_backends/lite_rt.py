"""LiteRT (TensorFlow Lite's successor) with XNNPACK on the CPU: a .tflite file per batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
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
    as_float32,
    require_device,
    splits,
)
from bakeoff_backends import fixed_batches, fixed_shapes, lite_rt_files

REMEDY = "pip install 'bakeoff[litert]'"
SUFFIX = ".tflite"
LARGEST_ERROR = 1e-3
WRITERS: Mapping[str, Callable[[Path], None]] = {
    "int8-dynamic": lite_rt_files.int8_dynamic,
    "fp16": lite_rt_files.half,
}
PARTS = ("litert_torch", "ai_edge_quantizer")


class LiteRt(Backend):
    """LiteRT's Interpreter, whose `invoke` releases the GIL: an instance is a thread with interpreters of its own.

    Not its CompiledModel, which holds the GIL. XNNPACK packs the weights anew for each size and lane.
    """

    name: ClassVar[str] = "litert"
    formats: ClassVar[tuple[str, ...]] = ("exported",)
    instances: ClassVar[Instances] = "threads"
    on_request: ClassVar[frozenset[str]] = frozenset({"fp16"})

    def probe(self, device: str) -> Facts:
        """The versions of runtime and converter, and a tiny sum to see that it computes."""
        require_device("LiteRT", device, "cpu")
        try:
            tiny = _interpreter(1, model_content=lite_rt_files.doubling())
        except ImportError as error:
            raise Unavailable(f"ai_edge_litert cannot be imported: {error}", REMEDY) from error
        missing = [name for name in PARTS if find_spec(name) is None]
        if missing:
            raise Unavailable(f"{' and '.join(missing)}, which write LiteRT's files, are not installed", REMEDY)
        tiny.set_tensor(0, np.ones(3, np.float32))
        tiny.invoke()
        if not np.array_equal(tiny.get_tensor(1), np.full(3, 2, np.float32)):
            raise Unavailable(f"LiteRT computes 1 + 1 = {tiny.get_tensor(1)[0]} here", "reinstall ai-edge-litert")
        return Facts(version("ai-edge-litert"), {"converter": f"litert-torch {version('litert-torch')}"})

    def precisions(self, device: str) -> tuple[str, ...]:
        """int8-dynamic: int8 weights and tables, activations quantised as they come. fp16: stored alone and computed as
        fp32, for XNNPACK's fp16 arithmetic has no switch in Python.
        """
        return (FP32, *WRITERS)

    def settings(self, resources: Resources) -> tuple[Setting, ...]:
        """Every division of the cores into interpreters x threads. XNNPACK fuses always: nothing switches it off."""
        return splits(resources)

    def build(self, model: Model, precision: str, setting: Setting, device: str, into: Path) -> Artifact:
        """Convert the exported program once per batch size, and rewrite each file to the precision."""
        self.require(precision, device)
        module, whole = fixed_shapes.program(model, self.formats, setting)
        folder = into / "model"
        folder.mkdir()
        artifact = Artifact(folder, precision, model.inputs, model.outputs)
        for size in fixed_batches.sizes(model):
            path, request = fixed_batches.file(folder, size, SUFFIX), fixed_batches.arguments(model, size)
            lite_rt_files.convert(module, fixed_shapes.tensors(model, request), path)
            with fixed_shapes.refusals("LiteRT"):
                fixed_batches.prove(Call(path, setting.threads, artifact), whole, request, LARGEST_ERROR)
            if precision in WRITERS:
                WRITERS[precision](path)
        return artifact

    def load(self, artifact: Artifact, setting: Setting, device: str) -> Session:
        """An interpreter per batch size, each bound to the setting's threads."""
        return LiteRtSession(artifact, setting.threads)


class LiteRtSession(fixed_batches.BatchSession):
    """The interpreters of one thread; `lane` makes another's over the same files."""

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self._artifact, self._threads = artifact, threads
        files = fixed_batches.files(artifact.path, SUFFIX)
        calls = {size: Call(path, threads, artifact) for size, path in files.items()}
        super().__init__(calls, fixed_batches.counted(artifact.inputs), artifact.outputs)

    def lane(self, index: int) -> Session:
        """Interpreters of its own for each thread but the first."""
        return LiteRtSession(self._artifact, self._threads) if index else self


class Call:
    """One interpreter, with its inputs and outputs found by the names that the converter gives them."""

    def __init__(self, path: Path, threads: int, artifact: Artifact) -> None:
        interpreter = self._interpreter = _interpreter(threads, model_path=str(path))
        runner = interpreter.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        named = [(tensor.name, inputs.get(f"args_{place}")) for place, tensor in enumerate(artifact.inputs)]
        self._inputs = [(name, found["index"], found["dtype"]) for name, found in named if found]
        self._outputs = [(name, outputs[f"output_{place}"]["index"]) for place, name in enumerate(artifact.outputs)]

    def __call__(self, inputs: Arrays) -> Arrays:
        """Copy the request in, run it, and copy the answers out."""
        interpreter = self._interpreter
        for name, index, dtype in self._inputs:
            interpreter.set_tensor(index, inputs[name].astype(dtype, copy=False))
        interpreter.invoke()
        return {name: as_float32(interpreter.get_tensor(index)) for name, index in self._outputs}


def _interpreter(threads: int, **model: str | bytes) -> Any:
    """Over a file (`model_path`), which is mapped and so shared by all over it, or over its bytes (`model_content`)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(**model, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter
