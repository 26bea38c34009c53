"""What the two torch backends share: the probe, the threads, reading a .pt2, and a session over a model on the CPU."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import FP32, Arrays, Artifact, Facts, Model, Session, Unavailable, require_device
from bakeoff_backends import torch_cuda

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

REMEDY = "pip install 'bakeoff[torch]'"


def probe(device: str) -> Facts:
    """torch's version, the instruction set it chose and the GPU; raises Unavailable without torch or the device."""
    require_device("torch", device, "cpu", "cuda")
    try:
        import torch
    except ImportError as error:
        raise Unavailable(f"torch cannot be imported: {error}", REMEDY) from error
    if float(torch.ones(4) @ torch.ones(4)) != 4.0:
        raise Unavailable("torch computes a wrong dot product here", "reinstall torch for this CPU")
    isa = torch.backends.cpu.get_cpu_capability()
    gpu = torch_cuda.describe() if device == "cuda" else {}
    return Facts(torch.__version__, {"cpu_capability": isa, "machine": platform.machine(), **gpu})


def set_threads(threads: int) -> None:
    """Bind this process's torch to `threads`; the second pool, for parallel graph branches, to one."""
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


def read(path: Path) -> ExportedProgram:
    """The exported program in a .pt2 file, free of in-place operators (which no rewrite could follow)."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own unpickling of older tree specs
        program = torch.export.load(path)
        return program.run_decompositions({}) if any(map(_writes_in_place, program.graph.nodes)) else program


def owner(names: tuple[str, ...], flat: bool = False) -> Callable[[Any], dict[str, np.ndarray[Any, Any]]]:
    """What turns a model's answer into host arrays that share memory with nothing, floats as float32, by name.

    `flat` says that answers are lists of tensors; looking for the tensors in one takes 5 microseconds.
    """
    import torch

    float32 = torch.float32

    def owned(outputs: Any) -> dict[str, np.ndarray[Any, Any]]:
        tensors = outputs if flat else torch_cuda.leaves(outputs)
        return {
            name: (x if x.dtype is float32 or not x.is_floating_point() else x.float()).numpy().copy()
            for name, x in zip(names, tensors, strict=True)
        }

    return owned


class TorchSession(Session):
    """Calls a loaded torch model with the request's arrays, in the order of the signature; `flat` as for `owner`."""

    def __init__(self, model: Any, artifact: Artifact, flat: bool = False) -> None:
        import torch

        self._model, self._owned = model, owner(artifact.outputs, flat)
        self._inputs = tuple(tensor.name for tensor in artifact.inputs)
        self._from_numpy, self._inference_mode = torch.from_numpy, torch.inference_mode

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one request without recording gradients."""
        with self._inference_mode():
            arguments = [self._from_numpy(inputs[name]) for name in self._inputs]
            return self._owned(self._model(*arguments))

    def close(self) -> None:
        """Drop the model."""
        self._model = None


def called(module: Any, model: Model) -> Callable[[Arrays], Arrays]:
    """A program's module as a call on arrays, which takes any number of items: what engines are held to."""
    return TorchSession(module, Artifact(Path(), FP32, model.inputs, model.outputs)).infer


def _writes_in_place(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None) if node.op == "call_function" else None
    return schema is not None and schema.is_mutable
