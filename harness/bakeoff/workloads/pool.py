"""How many requests a pool holds, and how large each is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bakeoff.workloads.prepared import Array

MOST_BYTES = 256 << 20
MOST_REQUESTS = 1_000_000
FEWEST_REQUESTS = 64
_USUAL_L3_BYTES = 32 << 20
_L3 = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def beyond_caches_bytes() -> int:
    """Twice the last-level cache, so that no request is served from it because it was there before; at most 256 MiB."""
    try:
        text = _L3.read_text(encoding="ascii").strip()
        size = int(text[:-1]) * _UNITS[text[-1]]
    except (OSError, ValueError, KeyError, IndexError):
        size = _USUAL_L3_BYTES
    return min(2 * size, MOST_BYTES)


def row_counts(
    sizes: Sequence[tuple[int, float]], row_bytes: int, request_bytes: int, pool_bytes: int, rng: np.random.Generator
) -> Array:
    """Rows of each request, int64, in random order: the `sizes` (rows, share) as often as they are due.

    The pool holds at least `pool_bytes`, of `row_bytes` for each row and `request_bytes` for each request, within
    MOST_BYTES and MOST_REQUESTS.
    """
    mean = sum(rows * share for rows, share in sizes)
    each = max(mean * row_bytes + request_bytes, 1.0)
    wanted = max(-(-pool_bytes // each), FEWEST_REQUESTS)
    count = int(max(min(wanted, MOST_BYTES // each, MOST_REQUESTS), 2))
    counts = [max(round(share * count), 1) for _, share in sizes]
    return rng.permutation(np.repeat(np.array([rows for rows, _ in sizes], np.int64), counts))
