"""The preparation of `wide-ctr-scale`: the hashing trick, from 64-bit ids to rows of tables that no lookup could hold.

A worker imports it: standard library and numpy alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads.preparation import Preparation, hashed, unmixed
from bakeoff.workloads.prepared import Array

SIZES = "sizes.npy"
_FAR = 1 << 62
"""About how large an id's hash is: its remainder costs what that of any 64-bit hash does."""


class WidePreparation(Preparation):
    """Hashes every id into its table, and repeats what belongs to the user in all rows of the request."""

    def __init__(self, folder: Path) -> None:
        self._sizes = np.load(folder / SIZES)

    def __call__(self, raw: Arrays) -> Arrays:
        """One row for each item."""
        users = raw["user_ids"].shape[1]
        of_user, of_items = hashed(raw["user_ids"], self._sizes[:users]), hashed(raw["item_ids"], self._sizes[users:])
        return {
            "dense": _side_by_side(raw["user_numbers"], raw["item_numbers"]),
            "sparse": _side_by_side(of_user, of_items),
        }


def raw_of(inputs: Arrays, rows: Array, user_numbers: int, sizes: Array, into: Path) -> Arrays:
    """The raw form of requests' inputs: for each row of a table the id that is hashed there; writes what is read.

    The first `user_numbers` numbers and the first half of the tables are the user's, the same in all rows of a request.
    """
    np.save(into / SIZES, sizes)
    ids = unmixed(inputs["sparse"] + _FAR // sizes * sizes)
    numbers, first, users = inputs["dense"], np.cumsum(rows) - rows, len(sizes) // 2
    return {
        "user_ids": ids[first, :users],
        "item_ids": ids[:, users:],
        "user_numbers": numbers[first, :user_numbers],
        "item_numbers": numbers[:, user_numbers:],
    }


def _side_by_side(of_user: Array, of_items: Array) -> Array:
    width = of_user.shape[1]
    both = np.empty((len(of_items), width + of_items.shape[1]), of_items.dtype)
    both[:, :width], both[:, width:] = of_user, of_items
    return both
