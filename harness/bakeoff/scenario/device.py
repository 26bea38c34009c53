"""Where a model runs, as a scenario says it: cpu, cuda (the first GPU), cuda:1, or cuda:0+1 for a replica on two."""

from __future__ import annotations

import re

CPU, CUDA = "cpu", "cuda"
DEVICE_PATTERN = r"^(cpu|cuda(:[0-9]{1,3}(\+[0-9]{1,3})*)?)$"
_DEVICE = re.compile(DEVICE_PATTERN)


def check_device(device: str) -> str:
    """The device as it is; raises ValueError with the right forms for anything else."""
    if not _DEVICE.fullmatch(device):
        raise ValueError("must be cpu, cuda, cuda:1 for another GPU, or cuda:0+1 for two of them")
    numbers = gpus_of(device)
    if len(set(numbers)) < len(numbers):
        raise ValueError("must name each GPU once, as in cuda:0+1")
    return device


def kind_of(device: str) -> str:
    """What an engine is told: "cpu" or "cuda"."""
    return device.partition(":")[0]


def gpus_of(device: str) -> tuple[int, ...]:
    """The numbers of the GPUs that a replica holds, as nvidia-smi counts them; none on the CPU."""
    kind, _, numbers = device.partition(":")
    if kind != CUDA:
        return ()
    return tuple(int(number) for number in numbers.split("+")) if numbers else (0,)
