"""The preparation of `feed-sasrec`: from a shop's own ids of what a user did to the rows of the items' table.

A worker imports it: standard library and numpy alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads.preparation import IdLookup, Preparation
from bakeoff.workloads.prepared import Array

KEYS = "item.npy"
PADDING = 0
_NONE = -1
"""Stands behind the ids of a user who did less than the history holds, and for the row of padding."""


class FeedPreparation(Preparation):
    """Looks up every item; the history, which comes newest first, is turned round and padded from the left.

    What the catalogue does not have is left out of the history, as in training; as a candidate it takes the padding's
    row.
    """

    def __init__(self, folder: Path) -> None:
        self._lookup = IdLookup.read(folder / KEYS, unknown=PADDING)

    def __call__(self, raw: Arrays) -> Arrays:
        """One history, and a row for each candidate."""
        newest_first = self._lookup(raw["history"])
        known = newest_first[newest_first != PADDING]
        history = np.full_like(newest_first, PADDING)
        history[0, history.shape[1] - len(known) :] = known[::-1]
        return {"history": history, "candidates": self._lookup(raw["candidates"])}


def raw_of(inputs: Arrays, ids: Array, into: Path) -> Arrays:
    """The raw form of requests' inputs, where `ids` are the shop's own of the items from 1 on; writes what is read."""
    keys = np.append(_NONE, ids)
    np.save(into / KEYS, keys)
    return {"history": keys[inputs["history"][:, ::-1]], "candidates": keys[inputs["candidates"]]}
