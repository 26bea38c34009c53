"""Zeros in the weights of linear layers: where they go, and how they stay while the rest is fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bakeoff.variants.technique import Bench

Masks = Mapping[nn.Linear, Tensor]
"""For each layer a boolean tensor of its weights' shape: which of them stay."""


def largest(weight: Tensor, ratio: float) -> Tensor:
    """A mask without the `ratio` of the weights that are smallest."""
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.detach().abs().flatten().topk(round(ratio * weight.numel()), largest=False).indices] = False
    return mask.reshape(weight.shape)


def zero(masks: Masks) -> None:
    """Set every weight that does not stay to zero."""
    with torch.no_grad():
        for layer, mask in masks.items():
            layer.weight.mul_(mask)


def pruned(module: nn.Module, masks: Masks, bench: Bench, finetune: float) -> nn.Module:
    """The module with zeros, fine-tuned for a share of the usual training where `finetune` is not 0."""
    zero(masks)
    if finetune:
        with _kept(masks):
            bench.train(module, finetune)
    return module.eval()


@contextmanager
def _kept(masks: Masks) -> Iterator[None]:
    """Inside, the zeros get no gradient; afterwards they are zeros, whatever the optimiser did."""
    hooks = [
        layer.weight.register_hook(mask.to(layer.weight.dtype).mul)  # type: ignore[no-untyped-call]
        for layer, mask in masks.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        zero(masks)
