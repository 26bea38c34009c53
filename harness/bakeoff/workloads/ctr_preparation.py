"""The preparation of `ctr-dlrm`: from a grocer's own ids and counts to the rows of the tables and scaled numbers.

A worker imports it: standard library and numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads.preparation import IdLookup, Preparation, utf8
from bakeoff.workloads.prepared import Array

COUNTS = 13
MEAN = np.array([4.15, 6.86, 2.37, 0.02, 0.11, 1.70, 3.04, 3.97, 5.49, 1.04, 3.16, 4.81, 4.68, 4.20], np.float32)
SPREAD = np.array([1.56, 1.54, 1.68, 0.15, 0.35, 1.34, 1.47, 1.50, 1.47, 0.59, 1.34, 0.33, 0.60, 0.89], np.float32)
"""Of the logarithms of the counts and the price over 500,000 rows of the training's days. Without them the first layer
works on numbers far from 0, and losing any of its weights shifts every probability."""
_COLUMNS = {
    "customer": "user",
    "product": "item",
    "subclass": "subclass",
    "age_group": "age",
    "area": "area",
    "weekday": None,
    "last_product": "item",
    "last_subclass": "subclass",
}
"""The raw request's columns in the order of the model's, and whose ids they hold."""
_OF_ITEMS = ("product", "subclass")
_NONE = -1
"""The last product, and its subclass, of a customer who never bought any."""


def _raw_input(name: str, ids: str | None) -> Tensor:
    dtype = "S" if ids in ("age", "area") else "int64"
    return Tensor(name, dtype, (None,)) if name in _OF_ITEMS else Tensor(name, dtype, (1,), "request")


RAW_INPUTS = (
    *(_raw_input(name, ids) for name, ids in _COLUMNS.items()),
    Tensor("counts", "int32", (None, COUNTS)),
    Tensor("price", "float64", (None,)),
)


class CtrPreparation(Preparation):
    """Looks up every id in its table and scales the numbers: `dense` and `sparse`.

    An unknown id takes a row of its table by its hash; the row behind the last product is that of none.
    """

    def __init__(self, folder: Path) -> None:
        self._lookups: list[IdLookup | None] = []
        for name, ids in _COLUMNS.items():
            if ids is None:
                self._lookups.append(None)
                continue
            keys = np.load(folder / f"{ids}.npy")
            none_row = name.startswith("last_")
            self._lookups.append(IdLookup(keys, len(keys) if none_row else 0, 1 if none_row else len(keys)))

    def __call__(self, raw: Arrays) -> Arrays:
        """One row for each product."""
        sparse = np.empty((len(raw["product"]), len(_COLUMNS)), np.int64)
        for column, (name, lookup) in enumerate(zip(_COLUMNS, self._lookups, strict=True)):
            sparse[:, column] = raw[name] if lookup is None else lookup(raw[name])
        return {"dense": scaled(raw["counts"], raw["price"]), "sparse": sparse}


def scaled(counts: Array, price: Array) -> Array:
    """The numbers as the model takes them, logarithms of mean 0 and spread 1: float32 [rows, counts + 1]."""
    numbers = np.concatenate([counts, price[:, None]], axis=1).astype(np.float32)
    standard: Array = (np.log1p(numbers) - MEAN) / SPREAD
    return standard


def write_keys(ids: Mapping[str, Array], into: Path) -> None:
    """Write the shop's ids by code, which the lookups are made of."""
    for name in {name for name in _COLUMNS.values() if name}:
        np.save(into / f"{name}.npy", _keys(ids[name]))


def raw_of(codes: Sequence[Array], counts: Array, price: Array, ids: Mapping[str, Array], rows: Array) -> Arrays:
    """The raw requests of rows with these codes, in the model's order; the user's are those of the first row."""
    first = np.cumsum(rows) - rows
    raw: dict[str, Array] = {"counts": counts.astype(np.int32), "price": price.astype(np.float64)}
    for (name, of), code in zip(_COLUMNS.items(), codes, strict=True):
        mine = code if name in _OF_ITEMS else code[first]
        raw[name] = mine.astype(np.int64) if of is None else _named(_keys(ids[of]), mine)
    return raw


def _named(keys: Array, code: Array) -> Array:
    """The ids of codes; the code behind the last is that of none."""
    known = code < len(keys)
    named: Array = keys[np.where(known, code, 0)]
    return named if known.all() else np.where(known, named, _NONE)


def _keys(ids: Array) -> Array:
    """Numbers as they are; names as UTF-8, a missing one empty."""
    return ids if ids.dtype.kind == "i" else utf8("" if name != name else name for name in ids)
