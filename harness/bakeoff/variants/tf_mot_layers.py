"""Has TensorFlow Model Optimization remake linear layers in an environment of its own: files there, files back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.observing import rows_read
from bakeoff.variants.replacing import replaceable
from bakeoff.variants.technique import Bench

if TYPE_CHECKING:
    from bakeoff.variants import tf_mot_script  # noqa: F401 - so that what it makes is named by its code too

Array = NDArray[np.float32]

SCRIPT = Path(__file__).with_name("tf_mot_script.py")
REQUIREMENTS = ("tensorflow==2.21.0", "tf-keras==2.21.0", "tensorflow-model-optimization==0.8.1")
"""TF-MOT works with the old Keras alone, which is why it needs an environment that no engine of ours has."""
SETTINGS = {
    "TF_USE_LEGACY_KERAS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
}
SMALLEST = 256
"""Layers with fewer weights stay as they are: they would save nothing to speak of."""
ROWS = 4096
"""Rows that a layer is trained on, at most."""


@dataclass(frozen=True, slots=True)
class Remade:
    """What TF-MOT gave for a layer: `weight` [outputs, inputs] and, where the layer has one, `bias` [outputs]."""

    weight: Tensor
    bias: Tensor | None

    def put_into(self, layer: nn.Linear) -> None:
        """Change the layer's numbers."""
        layer.weight.data.copy_(self.weight)
        if self.bias is not None:
            layer.bias.data.copy_(self.bias)


def remade(module: nn.Module, kind: str, parameter: float, bench: Bench) -> dict[nn.Linear, Remade]:
    """Each linear layer of `SMALLEST` weights or more that the examples reach, remade by the script's `kind`.

    `bench.facts` take how far off each layer's answers are. Raises Unsupported where there is no such layer, or no
    example, and Unavailable where the environment cannot be made.
    """
    paths = {layer: path for path, layer in replaceable(module, nn.Linear).items()}
    large = [layer for layer in paths if layer.weight.numel() >= SMALLEST]
    if not large:
        raise Unsupported(f"nothing for TF-MOT: the model has no linear layer of {SMALLEST} weights of its own or more")
    read = {layer: rows for layer, rows in rows_read(module, large, bench, ROWS).items() if len(rows)}
    if not read:
        raise Unsupported("nothing for TF-MOT: no example request reaches a linear layer")
    bench.progress(f"TF-MOT: {kind} of {len(read)} layers, one after the other")
    made = _asked(read, (kind, str(parameter), str(bench.seed)), bench)
    bench.facts["made_by"] = " ".join(REQUIREMENTS)
    for place, layer in enumerate(read):
        bench.facts[f"error.{paths[layer]}"] = float(f"{float(made[f'error.{place}']):.4g}")
    return {layer: _of(made, place, paths[layer]) for place, layer in enumerate(read)}


def _of(made: Mapping[str, Array], place: int, path: str) -> Remade:
    weight, bias = (made.get(f"{each}.{place}") for each in ("weight", "bias"))
    assert weight is not None
    if not all(np.isfinite(each).all() for each in (weight, bias) if each is not None):
        raise RuntimeError(f"TF-MOT gave layer {path} numbers that are not finite")
    return Remade(torch.from_numpy(weight), None if bias is None else torch.from_numpy(bias))


def _asked(read: Mapping[nn.Linear, Tensor], words: tuple[str, ...], bench: Bench) -> dict[str, Array]:
    """What the script gives for the layers, by its names."""
    asked: dict[str, Any] = {}
    for place, (layer, rows) in enumerate(read.items()):
        asked[f"rows.{place}"] = rows.numpy()
        for name, numbers in layer.named_parameters():
            asked[f"{name}.{place}"] = numbers.detach().float().numpy()
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        came, gave = Path(folder) / "came.npz", Path(folder) / "gave.npz"
        np.savez(came, **asked)
        bench.apart(SCRIPT, (*words, str(came), str(gave)), REQUIREMENTS, SETTINGS)
        with np.load(gave, allow_pickle=False) as given:
            return dict(given)
