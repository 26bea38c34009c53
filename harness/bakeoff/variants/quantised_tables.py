"""Embedding tables in bytes: each row has scales of its own in half precision, and is decoded after the lookup.

The tables are looked up as they are stored, so that an engine keeps the bytes in memory and never the numbers. The
operators are those of ONNX 17, without shifts of bits, which engines take for some integer types alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from bakeoff.backends import Unsupported

CHUNK_NUMBERS = 1 << 22
LEVELS = 15
STEPS, STARTS = 4, (1.0, 0.85)
"""Rounds of the search for a row's scale, and the shares of its range at which it starts."""
LEAST = 2.0**-24
"""The smallest number above zero that half precision has."""


class Int8Table(nn.Module):
    """A table of signed bytes with one half-precision scale a row: width + 2 bytes."""

    codes: Tensor
    scales: Tensor

    def __init__(self, codes: Tensor, scales: Tensor) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = codes.shape
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)

    @classmethod
    def of(cls, weight: Tensor) -> Self:
        """The nearest codes, with a row's largest number at 127."""
        parts = [_int8(part) for part in _chunks(weight)]
        return cls(torch.cat([codes for codes, _ in parts]), torch.cat([scales for _, scales in parts]))

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [...] -> float32 [..., width]."""
        return embedding(ids, self.codes).to(torch.float32) * embedding(ids, self.scales).to(torch.float32)


class Int4Table(nn.Module):
    """A table of rows: two codes a byte, then the halves of the row's scale and of its smallest number, upper bytes
    first: width / 2 + 4 bytes.

    One lookup brings the whole row. The scales lie among the bytes because OpenVINO widens a table of half-precision
    numbers to float32 when it loads it. `halves` decodes them: see `Halves`.
    """

    rows: Tensor

    def __init__(self, rows: Tensor, width: int, halves: Halves) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = len(rows), width
        self.packed = rows.shape[1] - 4
        self.halves = halves
        self.register_buffer("rows", rows)

    @classmethod
    def of(cls, weight: Tensor, halves: Halves) -> Self:
        """Codes, scales and smallest numbers with about the least squared error in each row."""
        return cls(torch.cat([_int4(part) for part in _chunks(weight)]), weight.shape[1], halves)

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [...] -> float32 [..., width]."""
        row = embedding(ids, self.rows)
        pairs = row[..., : self.packed].to(torch.float32)
        upper = torch.floor(pairs * 0.0625)
        codes = torch.cat([pairs - upper * 16, upper], dim=-1)[..., : self.embedding_dim]
        numbers = self.halves(row[..., self.packed : self.packed + 2], row[..., self.packed + 2 :])
        decoded: Tensor = codes * numbers[..., :1] + numbers[..., 1:]
        return decoded


class Halves(nn.Module):
    """Half-precision numbers out of their upper and lower bytes: what the upper one says, and a step for each lower.

    The upper byte holds the sign, the exponent and two bits of the fraction, so that the lower one counts equal steps.
    """

    values: Tensor
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        upper = torch.arange(256, dtype=torch.int32) << 8
        values, nexts = ((upper + lower).to(torch.int16).view(torch.float16).float() for lower in (0, 1))
        finite = values.isfinite()
        self.register_buffer("values", values.where(finite, 0.0))
        self.register_buffer("steps", (nexts - values).where(finite, 0.0))

    def forward(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Bytes (uint8) of any shape -> float32."""
        which = upper.to(torch.int64)
        return self.values[which] + self.steps[which] * lower.to(torch.float32)


def _chunks(weight: Tensor) -> Iterator[Tensor]:
    """The rows a part at a time, to bound the memory."""
    rows = max(1, CHUNK_NUMBERS // weight.shape[1])
    return (weight.detach()[first : first + rows] for first in range(0, len(weight), rows))


def _half(numbers: Tensor) -> Tensor:
    """In half precision; raises Unsupported where a number is too large for it."""
    half = numbers.half()
    if not bool(half.isfinite().all()):
        raise Unsupported("an embedding table holds numbers that are too large for half-precision scales")
    return half


def _int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scales = _half((weight.abs().amax(1, keepdim=True) / 127).clamp_min(LEAST))
    return (weight / scales.float()).round().clamp(-127, 127).to(torch.int8), scales


def _int4(weight: Tensor) -> Tensor:
    scales, lows = _fitted(weight)
    codes = _codes(weight, scales.float(), lows.float()).to(torch.uint8)
    codes = nn.functional.pad(codes, (0, codes.shape[1] % 2))
    first, second = codes.chunk(2, dim=1)
    numbers = torch.cat([scales, lows], dim=1).view(torch.int16).to(torch.int32)
    return torch.cat([first + second * 16, (numbers >> 8 & 255).byte(), (numbers & 255).byte()], dim=1)


def _codes(weight: Tensor, scales: Tensor, lows: Tensor) -> Tensor:
    return ((weight - lows) / scales).round_().clamp_(0, LEVELS)


def _fitted(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's scale and smallest number, in half precision, [rows, 1]: the better of the searches from STARTS."""
    tries = [_descended(weight, start) for start in STARTS]
    errors = [
        (_codes(weight, scales.float(), lows.float()) * scales.float() + lows.float() - weight).square().sum(1)
        for scales, lows in tries
    ]
    best = torch.stack(errors).argmin(0)[None, :, None]
    scales, lows = (torch.stack(each).take_along_dim(best, 0)[0] for each in zip(*tries, strict=True))
    return scales, lows


def _descended(weight: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """From a share of the row's range: the nearest codes, the line of least squares through them, and again."""
    low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    scales = ((high - low) * share / LEVELS).clamp_min(LEAST)
    lows = (low + high - scales * LEVELS) / 2
    mean = weight.mean(1, keepdim=True)
    for _ in range(STEPS):
        codes = _codes(weight, scales, lows)
        middle = codes.mean(1, keepdim=True)
        codes -= middle
        spread = codes.square().sum(1, keepdim=True)
        slope = (codes * weight).sum(1, keepdim=True) / spread.clamp_min(LEAST)
        scales = slope.where(spread > 0, scales).clamp_min(LEAST)
        lows = mean - scales * middle
    return _half(scales), _half(lows)
