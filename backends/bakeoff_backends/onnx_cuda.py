"""ONNX Runtime on NVIDIA's GPUs: its CUDA and TensorRT providers, and a session with tensors bound to the device."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from bakeoff.backends import Arrays, Artifact, Model, Resources, Session, Setting, as_float32
from bakeoff_backends import tensor_rt_plan
from bakeoff_backends.onnx_session import CUDA, TENSORRT, engine, open_session, provider

TF32 = "tf32"
PROFILE, ENGINES = "tensorrt.json", "engines"
"""Beside the model file: the shapes that TensorRT's engines take, and the folder that holds the engines."""
MOST_SHAPES = 64
"""Shapes of one input for which device memory is kept; beyond them all is given back and kept anew."""


def settings(resources: Resources) -> tuple[Setting, ...]:
    """One request at a time, then as many as there are cores, by each provider; without operator fusion on request."""
    plain = [Setting(f"{count}x1", instances=count) for count in sorted({1, resources.cpus})]
    other = [Setting(f"{s.name}-tensorrt", 1, s.instances, {"provider": "tensorrt"}) for s in plain]
    unfused = [Setting(f"{s.name}-nofuse", 1, s.instances, {"optimisation": "none"}, on_request=True) for s in plain]
    return (*plain, *other, *unfused)


def build_engines(artifact: Artifact, model: Model, setting: Setting) -> None:
    """Have TensorRT's provider build its engines into the artifact's folder, for all shapes that the traffic has.

    Raises Unavailable without the provider, Unsupported where a free axis is of unknown length.
    """
    shapes = {tensor.name: tensor_rt_plan.shapes(tensor, model) for tensor in model.inputs}
    free = [tensor.name for tensor in model.inputs if None in tensor.shape]
    profile = {
        f"trt_profile_{name}_shapes": ",".join(f"{key}:{'x'.join(map(str, shapes[key][k]))}" for key in free)
        for k, name in enumerate(("min", "opt", "max") if free else ())
    }
    (artifact.path.parent / ENGINES).mkdir()
    (artifact.path.parent / PROFILE).write_text(json.dumps(profile), encoding="utf-8")
    session = open_on_gpu(artifact, setting)
    session.run(list(artifact.outputs), {t.name: np.zeros(shapes[t.name][1], t.dtype) for t in model.inputs})


def open_on_gpu(artifact: Artifact, setting: Setting) -> Any:
    """An InferenceSession on the first GPU, float32 multiplied as float32 unless the precision is tf32.

    TensorRT has no switch of its provider's for that, but heeds the variable by which all of NVIDIA's libraries do.
    """
    tf32 = artifact.precision == TF32
    provided = {CUDA: {"device_id": "0", "use_tf32": str(int(tf32))}}
    if provider(setting, "cuda") == TENSORRT:
        os.environ |= {} if tf32 else {"NVIDIA_TF32_OVERRIDE": "0"}
        provided = {TENSORRT: _tensorrt(artifact)} | provided
    return open_session(str(artifact.path), setting, "cuda", provided)


def _tensorrt(artifact: Artifact) -> dict[str, str]:
    """The provider's options: engines from the artifact's folder, for the shapes that they were built for."""
    folder = artifact.path.parent
    profile: dict[str, str] = json.loads((folder / PROFILE).read_text(encoding="utf-8"))
    return {
        "device_id": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder / ENGINES),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder / ENGINES),
        "trt_fp16_enable": str(int(artifact.precision == "fp16")),
        **profile,
    }


class BoundSession(Session):
    """A session whose inputs and outputs are bound to the device: memory for a request is kept, and not taken at each
    call. It belongs to one thread; `lane` makes another over the same session."""

    def __init__(self, session: Any, artifact: Artifact, device: str) -> None:
        self._session, self._artifact, self._device = session, artifact, device
        self._binding, self._value = session.io_binding(), engine().OrtValue
        self._held: dict[str, dict[tuple[int, ...], Any]] = {tensor.name: {} for tensor in artifact.inputs}

    def infer(self, inputs: Arrays) -> Arrays:
        """Copy the request over, run it, and copy the answers back into fresh arrays.

        Outputs are bound anew each time: kept ones would be taken for memory of the last request's shape.
        """
        for name in self._held:
            self._binding.bind_ortvalue_input(name, self._sent(name, inputs[name]))
        for name in self._artifact.outputs:
            self._binding.bind_output(name, self._device, 0)
        self._session.run_with_iobinding(self._binding)
        answers = self._binding.copy_outputs_to_cpu()
        return {name: as_float32(answer) for name, answer in zip(self._artifact.outputs, answers, strict=True)}

    def lane(self, index: int) -> Session:
        """A binding of its own for each thread but the first."""
        return BoundSession(self._session, self._artifact, self._device) if index else self

    def close(self) -> None:
        """Drop the session and what was kept on the device."""
        self._session = self._binding = None
        self._held = {}

    def _sent(self, name: str, values: np.ndarray[Any, Any]) -> Any:
        held = self._held[name]
        if values.shape not in held:
            if len(held) >= MOST_SHAPES:
                held.clear()
            place = (values.dtype.type, self._device, 0)
            held[values.shape] = self._value.ortvalue_from_shape_and_type(values.shape, *place)
        held[values.shape].update_inplace(values)
        return held[values.shape]
