"""Linear layers whose weights share a few values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LLOYD_STEPS = 100


class SharedLinear(nn.Module):
    """A linear layer whose weights are codes of one byte into a codebook of at most 256 values."""

    codes: Tensor

    def __init__(self, codes: Tensor, codebook: Tensor, bias: Tensor | None = None) -> None:
        """`codes` uint8 [outputs, inputs], `codebook` float [values]."""
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.register_buffer("codes", codes)
        self.codebook = nn.Parameter(codebook)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(self, rows: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]. The clamp changes nothing: it keeps the ONNX exporter from decoding."""
        codes = self.codes.clamp(max=len(self.codebook) - 1)
        return functional.linear(rows, self.codebook[codes.long()], self.bias)


def clustered(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(codes uint8 of the weight's shape, codebook): k-means in one dimension by Lloyd's steps from quantiles.

    Exact where the weights have no more than `count` different values.
    """
    values = weight.detach().flatten().double().sort().values
    centres = torch.unique(values)
    if len(centres) > count:
        centres = _lloyd(values, centres, count)
    codes = torch.bucketize(weight.detach().double(), _borders(centres))
    return codes.to(torch.uint8), centres.to(weight.dtype)


def _lloyd(values: Tensor, distinct: Tensor, count: int) -> Tensor:
    """`count` centres of sorted `values`; a centre that has lost all of its values is left out."""
    centres = distinct[torch.linspace(0, len(distinct) - 1, 2 * count + 1)[1::2].round().long()]
    sums = torch.cat([values.new_zeros(1), values.cumsum(0)])
    for _ in range(LLOYD_STEPS):
        ends = torch.searchsorted(values, _borders(centres), right=True)
        ends = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([len(values)])])
        sizes = ends.diff()
        moved = (sums[ends].diff() / sizes)[sizes > 0]
        if moved.equal(centres):
            break
        centres = moved
    return centres


def _borders(centres: Tensor) -> Tensor:
    return (centres[1:] + centres[:-1]) / 2
