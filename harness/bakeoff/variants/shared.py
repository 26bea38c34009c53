"""Linear layers whose weights share a few values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LLOYD_STEPS = 1000
BINS = 1024
OUTER = 0.001


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


def gains(weight: Tensor, count: int) -> bool:
    """Whether codes and a codebook of `count` values take less than the weights."""
    return weight.numel() + count * weight.element_size() < weight.nbytes


def clustered(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(codes uint8 of the weight's shape, codebook of up to `count` values): k-means in one dimension by Lloyd's steps.

    Exact where the weights have no more than `count` different values.
    """
    values = weight.detach().flatten().double().sort().values
    centres = torch.unique(values)
    if len(centres) > count:
        centres = _lloyd(values, _dense_where_values_are(values, count))
    codes = torch.bucketize(weight.detach().double(), _borders(centres))
    return codes.to(torch.uint8), centres.to(weight.dtype)


def _dense_where_values_are(values: Tensor, count: int) -> Tensor:
    """`count` centres of sorted `values` as dense as the cube root of their density.

    Far outliers get centres of their own: they would stretch the bins until one holds all other values. Panter and
    Dite, Quantization Distortion in Pulse-Count Modulation, 1951.
    """
    near = _without_outliers(values)
    ends = values[[0, -1]]
    far = ends[(ends < near[0]) | (ends > near[-1])][: count - 1]
    counts, edges = torch.histogram(near, BINS)
    risen = counts.pow(1 / 3).cumsum(0) / counts.pow(1 / 3).sum()
    wanted = (torch.arange(count - len(far), dtype=values.dtype) + 0.5) / (count - len(far))
    centres: Tensor = torch.unique(torch.cat([_borders(edges)[torch.searchsorted(risen, wanted)], far]))
    return centres


def _without_outliers(values: Tensor) -> Tensor:
    """Sorted values without those further out than half the width of the inner 99.8 %."""
    low, high = (values[round(share * (len(values) - 1))] for share in (OUTER, 1 - OUTER))
    reach = (high - low) / 2
    return values[(values >= low - reach) & (values <= high + reach)]


def _lloyd(values: Tensor, centres: Tensor) -> Tensor:
    """The means of sorted `values` nearest to each centre, over and over; a centre without values is left out."""
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
