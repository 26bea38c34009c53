"""What a model's linear layers are fed by a workload's example requests, and what it answers to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.technique import Bench

Examples = Sequence[tuple[Tensor, ...]]

OBSERVED_ROWS = 4096


@dataclass(slots=True)
class Moments:
    """The first two moments of what a linear layer reads, summed as it comes."""

    rows: int
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, layer: nn.Linear) -> Moments:
        """Before anything came."""
        width = layer.in_features
        return cls(0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))

    def add(self, read: Tensor) -> None:
        """Count rows [..., in_features] in."""
        rows = read.reshape(-1, read.shape[-1]).double()
        self.rows += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        """[in_features]; zeros where nothing came."""
        return self.total / max(self.rows, 1)

    @property
    def second(self) -> Tensor:
        """The second moment [in_features, in_features]."""
        return self.products / max(self.rows, 1)

    @property
    def covariance(self) -> Tensor:
        """[in_features, in_features]."""
        return self.second - torch.outer(self.mean, self.mean)


def moments(module: nn.Module, layers: Iterable[nn.Linear], bench: Bench) -> dict[nn.Linear, Moments]:
    """What each of the layers reads while the model answers the example requests; raises Unsupported without any."""
    examples = first(bench.examples, OBSERVED_ROWS)
    seen = {layer: Moments.of(layer) for layer in layers}
    hooks = [layer.register_forward_pre_hook(_adds_to(sums)) for layer, sums in seen.items()]
    try:
        answers(module, examples if hooks else ())
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def first(examples: Examples, rows: int) -> Examples:
    """The first examples that have so many rows together, or all; raises Unsupported where there are none."""
    if not examples:
        raise Unsupported("there are no example requests to weigh the model's parts on")
    taken = 0
    for count, example in enumerate(examples, 1):
        taken += max(len(tensor) for tensor in example)
        if taken >= rows:
            return examples[:count]
    return examples


@torch.no_grad()
def answers(module: nn.Module, examples: Examples) -> list[list[Tensor]]:
    """The outputs of each example."""
    return [_tensors(module(*example)) for example in examples]


def _tensors(answer: Any) -> list[Tensor]:
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, tuple | list) else [answer]


def _adds_to(moments: Moments) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda _, inputs: moments.add(inputs[0].detach())
