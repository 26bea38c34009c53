"""A stand-in for onnxruntime-gpu: the real module's names, with sessions that record what they are told."""

from types import SimpleNamespace

import onnxruntime

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class SessionOptions:
    def __init__(self):
        self.entries = {}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


def make(available=(TENSORRT, CUDA, CPU), falls_back_to=None):
    """The module; `told` holds each session's providers with their options, `ran` the shapes of what it was given."""
    told, ran = [], []

    class InferenceSession:
        def __init__(self, model, options, providers):
            told.append(dict(providers))
            self.providers = [falls_back_to or providers[0][0], CPU]

        def get_providers(self):
            return self.providers

        def run(self, outputs, inputs):
            ran.append({name: values.shape for name, values in inputs.items()})
            return [2 * next(iter(inputs.values()))]

        def io_binding(self):
            return SimpleNamespace()

    return SimpleNamespace(
        __version__="1.31.1",
        told=told,
        ran=ran,
        SessionOptions=SessionOptions,
        GraphOptimizationLevel=onnxruntime.GraphOptimizationLevel,
        InferenceSession=InferenceSession,
        OrtValue=onnxruntime.OrtValue,
        get_available_providers=lambda: list(available),
        preload_dlls=lambda: told.append("libraries"),
    )
