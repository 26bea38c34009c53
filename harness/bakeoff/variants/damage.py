"""What an edit of a model costs, measured on a workload's loss or its example requests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported
from bakeoff.variants.observing import answers, first
from bakeoff.variants.technique import Bench

COMPARED_ROWS = 256
"""An edit is tried many times over, so on few rows."""


def damage(module: nn.Module, bench: Bench) -> tuple[Callable[[], float], str]:
    """A function that tells how much worse the module has become since now by an edit in place, and the measure's name.

    It is the rise of the workload's loss, and where there is none, the squared error of the outputs on the example
    requests over their variance. Raises Unsupported where there is neither.
    """
    try:
        before = bench.loss(module)
    except Unsupported:
        examples = first(bench.examples, COMPARED_ROWS)
        wanted = answers(module, examples)
        return lambda: _error(answers(module, examples), wanted), "error of the output"
    return lambda: bench.loss(module) - before, "rise of the loss"


def _error(given: list[list[Tensor]], wanted: list[list[Tensor]]) -> float:
    """The mean over the outputs of their squared error over their variance."""
    shares = []
    for ours, right in zip(zip(*given, strict=True), zip(*wanted, strict=True), strict=True):
        base = torch.cat(right).double()
        spread = (base - base.mean(0)).square().sum()
        shares.append(float((torch.cat(ours) - base).square().sum() / spread.clamp(min=1e-12)))
    return sum(shares) / len(shares)
