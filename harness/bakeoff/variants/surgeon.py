"""Takes inputs away from a linear layer and adapts the weights of the others, so that its output changes least.

Hassibi and Stork, Second order derivatives for network pruning: Optimal Brain Surgeon, 1992; for whole groups of
inputs Kurtic et al., ZipLM: Inference-Aware Structured Pruning of Language Models, 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bakeoff.variants.observing import Moments

RIDGE = 0.01
"""Share of the mean variance that is added to each variance, so that few examples do not mislead."""
STEPS = 64
"""In so many steps the groups go; where there are fewer, one at a time."""


def remove(layer: nn.Linear, seen: Moments, count: int, width: int = 1) -> Tensor:
    """Do without `count` of the groups of `width` inputs each; returns the numbers of the groups that stay, in order.

    A few groups go at a time, those that the others can best stand in for: with H the inverse of the inputs'
    covariance, removing the columns g of W costs tr(W_g H_gg^-1 W_g'), if the others become W - W_g H_gg^-1 H_g.
    The bias takes up the removed inputs' mean. The layer keeps its shape; the removed columns no longer matter.
    """
    before = layer.weight.detach().double()
    weight = before.clone()
    inverse = _inverse(seen.covariance)
    gone = torch.zeros(layer.in_features // width, dtype=torch.bool)
    for at_once in map(len, torch.arange(count).tensor_split(max(1, min(count, STEPS)))):
        groups = _costs(weight, inverse, width).masked_fill(gone, torch.inf).topk(at_once, largest=False).indices
        columns = (groups[:, None] * width + torch.arange(width)).flatten()
        gain = torch.linalg.solve(inverse[columns][:, columns], inverse[columns])
        weight.addmm_(weight[:, columns], gain, alpha=-1)
        inverse.addmm_(inverse[:, columns], gain, alpha=-1)
        inverse[columns] = inverse[:, columns] = 0
        inverse[columns, columns] = 1
        gone[groups] = True
    weight[:, gone.repeat_interleave(width)] = 0
    shift = (before - weight) @ seen.mean
    layer.weight = nn.Parameter(weight.to(layer.weight.dtype))
    layer.bias = nn.Parameter((shift if layer.bias is None else layer.bias.detach() + shift).to(layer.weight.dtype))
    return torch.nonzero(~gone).flatten()


def _inverse(covariance: Tensor) -> Tensor:
    ridge = (RIDGE * covariance.diagonal().mean()).clamp(min=1e-12)
    inverse: Tensor = torch.linalg.inv(covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype))
    return inverse


def _costs(weight: Tensor, inverse: Tensor, width: int) -> Tensor:
    """What the removal of each group costs: the rise of the output's squared error."""
    groups = inverse.shape[0] // width
    blocks = inverse.reshape(groups, width, groups, width).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    parts = weight.T.reshape(groups, width, -1)
    costs: Tensor = (parts * torch.linalg.solve(blocks, parts)).sum((1, 2))
    return costs
