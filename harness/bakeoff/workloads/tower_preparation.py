"""The preparation of `two-tower`: from what a grocer knows of a customer, in its own ids, to the rows of the tables.

A worker imports it: standard library and numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads import ctr_preparation
from bakeoff.workloads.preparation import IdLookup, Preparation
from bakeoff.workloads.prepared import Array

_NONE = -1
"""Stands behind the last products of a customer who bought fewer, and for the row of nothing."""


class TowerPreparation(Preparation):
    """Looks up the customer, the last products and what the customer's card says.

    A product that is not in the catalogue takes the row of nothing, any other unknown id a row of its table by its
    hash.
    """

    def __init__(self, folder: Path) -> None:
        customers, products, ages, areas = _keys(folder)
        self._customer, self._age, self._area = (IdLookup(keys, 0, len(keys)) for keys in (customers, ages, areas))
        self._product = IdLookup(products, unknown=len(products) - 1)

    def __call__(self, raw: Arrays) -> Arrays:
        """One row for each customer."""
        context = (self._age(raw["age_group"]), self._area(raw["area"]), raw["weekday"])
        return {
            "user": self._customer(raw["customer"]),
            "history": self._product(raw["last_products"]),
            "context": np.stack(context, axis=1),
        }


def raw_of(inputs: Arrays, ids: Mapping[str, Array], catalogue: Array, into: Path) -> Arrays:
    """The raw form of requests' inputs, where `ids` are the shop's own by code; writes what is read."""
    ctr_preparation.write_keys({**ids, "item": np.append(ids["item"][catalogue], _NONE)}, into)
    customers, products, ages, areas = _keys(into)
    age, area, weekday = inputs["context"].T
    return {
        "customer": customers[inputs["user"]],
        "last_products": products[inputs["history"]],
        "age_group": ages[age],
        "area": areas[area],
        "weekday": weekday,
    }


def _keys(folder: Path) -> tuple[Array, ...]:
    return tuple(np.load(folder / f"{name}.npy") for name in ("user", "item", "age", "area"))
