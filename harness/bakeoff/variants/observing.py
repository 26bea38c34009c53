"""What the linear layers of a model are fed by example requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

MOST_EXAMPLES = 32


def input_moments(module: nn.Module, examples: Sequence[tuple[Tensor, ...]]) -> dict[nn.Module, Tensor]:
    """By linear layer, the second moment float64 [inputs, inputs] of what the first examples feed into it."""
    sums: dict[nn.Module, Tensor] = {}
    rows: dict[nn.Module, int] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        fed = inputs[0].detach().flatten(0, -2).double()
        sums[layer] = sums.get(layer, 0) + fed.T @ fed
        rows[layer] = rows.get(layer, 0) + len(fed)

    hooks = [each.register_forward_hook(observe) for each in module.modules() if type(each) is nn.Linear]
    try:
        with torch.no_grad():
            for example in islice(examples, MOST_EXAMPLES if hooks else 0):
                module.eval()(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: total / rows[layer] for layer, total in sums.items()}
