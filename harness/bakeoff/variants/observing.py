"""What a model's linear layers are fed by a workload's example requests, and what it answers to them."""

from __future__ import annotations

import sys
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


def rows_read(module: nn.Module, layers: Iterable[nn.Linear], bench: Bench, limit: int) -> dict[nn.Linear, Tensor]:
    """Up to `limit` rows [rows, in_features] of what each layer reads while the model answers the example requests.

    They are drawn by the bench's seed, as many from each request; none where a layer read nothing. Raises Unsupported
    without examples.
    """
    examples = first(bench.examples, sys.maxsize)
    draw = torch.Generator().manual_seed(bench.seed)
    read: dict[nn.Linear, list[Tensor]] = {layer: [] for layer in layers}
    share = -(-limit // len(examples))
    hooks = [layer.register_forward_pre_hook(_draws_into(rows, share, draw)) for layer, rows in read.items()]
    try:
        answers(module, examples)
    finally:
        for hook in hooks:
            hook.remove()
    nothing = torch.empty(0)
    return {layer: _drawn(torch.cat(rows), limit, draw) if rows else nothing for layer, rows in read.items()}


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


def _draws_into(kept: list[Tensor], share: int, draw: torch.Generator) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        rows = inputs[0].detach()
        kept.append(_drawn(rows.reshape(-1, rows.shape[-1]), share, draw))

    return keep


def _drawn(rows: Tensor, limit: int, draw: torch.Generator) -> Tensor:
    """A copy of up to `limit` of the rows, in an order drawn at random."""
    return rows[torch.randperm(len(rows), generator=draw)[:limit]].float()
