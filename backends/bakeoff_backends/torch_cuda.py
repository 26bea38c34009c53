"""torch on NVIDIA's GPUs: what there is, how float32 is multiplied, and a session that copies through pinned memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import FP32, Arrays, Artifact, Session, Unavailable

if TYPE_CHECKING:
    import torch

REMEDY = "install a CUDA build of torch (pytorch.org shows the index) where nvidia-smi lists a GPU"
TF32 = "tf32"
AMPERE = (8, 0)
"""The compute capability from which on tensor cores take bf16 and tf32."""


def describe() -> dict[str, str]:
    """The first GPU, its compute capability and torch's CUDA; raises Unavailable without one that computes."""
    import torch

    if torch.version.cuda is None:
        raise Unavailable(f"torch {torch.__version__} is built without CUDA", REMEDY)
    if not torch.cuda.is_available():
        raise Unavailable(f"torch {torch.__version__} finds no GPU", REMEDY)
    ones = torch.ones(4, device="cuda")
    if float(ones @ ones) != 4.0:
        raise Unavailable("torch computes a wrong dot product on this GPU", "install the torch of this CUDA driver")
    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": torch.cuda.get_device_name(),
        "compute_capability": f"{major}.{minor}",
        "cuda": str(torch.version.cuda),
        "gpus": str(torch.cuda.device_count()),
    }


def precisions() -> tuple[str, ...]:
    """fp16 on every GPU that torch supports, tf32 and bf16 from Ampere on; where there is none, none of them."""
    import torch

    if not torch.cuda.is_available():
        return (FP32,)
    return (FP32, TF32, "bf16", "fp16") if torch.cuda.get_device_capability() >= AMPERE else (FP32, "fp16")


def multiply_in(precision: str) -> None:
    """Say how float32 products are computed: rounded to TF32 at that precision alone, never by torch's own choice."""
    import torch

    torch.set_float32_matmul_precision("high" if precision == TF32 else "highest")
    torch.backends.cudnn.allow_tf32 = precision == TF32


class Room:
    """Host memory for one tensor, pinned where a GPU copies it, which grows with what is asked of it."""

    def __init__(self, place: torch.device) -> None:
        import torch

        self._torch, self._pinned = torch, place.type == "cuda"
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def tensor(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """The memory as a tensor; valid until the next is asked for."""
        size = int(np.prod(shape)) * dtype.itemsize
        if size > self._bytes.numel():
            self._bytes = self._torch.empty(size, dtype=self._torch.uint8, pin_memory=self._pinned)
        return self._bytes[:size].view(dtype).view(tuple(shape))


class Runner:
    """A model on `place`, called with the request's tensors as they lie in pinned host memory."""

    def __init__(self, model: Any, place: torch.device) -> None:
        self._model, self.place = model, place

    def __call__(self, hosts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Start the copies to the device and the model; the answers need not be there when this returns."""
        return leaves(self._model(*(host.to(self.place, non_blocking=True) for host in hosts)))

    def spent_ns(self) -> Mapping[str, int]:
        """What it counts of its calls; see Session.spent_ns."""
        return {}


class CudaSession(Session):
    """Calls a runner with host arrays and gives host arrays back, both copied through pinned memory of its own.

    It belongs to one thread. All that a call does is done when it returns: it waits for the GPU before it reads.
    """

    def __init__(self, runner: Runner, artifact: Artifact) -> None:
        import torch

        self._torch = torch
        self._runner: Any = runner
        self._inputs = [tensor.name for tensor in artifact.inputs]
        self._sent = {name: Room(runner.place) for name in self._inputs}
        self._back = {name: Room(runner.place) for name in artifact.outputs}

    def infer(self, inputs: Arrays) -> Arrays:
        """Copy the request over, run it, copy the answers back (floats as float32), wait, and copy them out."""
        torch = self._torch
        with torch.inference_mode():
            answers = self._runner([self._pinned(name, inputs[name]) for name in self._inputs])
            hosts = [self._fetch(room, x) for room, x in zip(self._back.values(), answers, strict=True)]
            if self._runner.place.type == "cuda":
                torch.cuda.current_stream(self._runner.place).synchronize()
            return {name: np.array(host.numpy(), order="C") for name, host in zip(self._back, hosts, strict=True)}

    def spent_ns(self) -> Mapping[str, int]:
        """What the runner counts: the transfers of a model that is split."""
        return self._runner.spent_ns() if self._runner else {}

    def close(self) -> None:
        """Drop the model and the memory that was pinned for it."""
        self._runner, self._sent, self._back = None, {}, {}

    def _pinned(self, name: str, values: np.ndarray[Any, Any]) -> torch.Tensor:
        host = self._sent[name].tensor(values.shape, getattr(self._torch, values.dtype.name))
        host.numpy()[...] = values
        return host

    def _fetch(self, room: Room, answer: torch.Tensor) -> torch.Tensor:
        wide = answer.float() if answer.is_floating_point() else answer
        return room.tensor(wide.shape, wide.dtype).copy_(wide, non_blocking=True)


def leaves(answers: Any) -> list[torch.Tensor]:
    """The tensors of a model's answer, in order."""
    import torch

    return [answers] if isinstance(answers, torch.Tensor) else list(torch.utils._pytree.tree_leaves(answers))
