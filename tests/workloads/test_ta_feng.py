import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from bakeoff.workloads import ta_feng
from bakeoff.workloads.ta_feng import DENSE, SPARSE, Features, Past, Purchases, Visits


def table(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """A small shop in the columns of the csv, with its gaps and repeats."""
    rng = np.random.default_rng(seed)
    item = (rng.random(rows) ** 2 * 60).astype(int)
    customer = rng.integers(0, 50, rows)
    return pd.DataFrame(
        {
            "TRANSACTION_DT": (pd.Timestamp("2000-11-01") + pd.to_timedelta(rng.integers(0, 60, rows), "D")).strftime(
                "%m/%d/%Y"
            ),
            "CUSTOMER_ID": customer + 1000,
            "AGE_GROUP": np.where(customer % 7 == 0, None, "30-34"),
            "PIN_CODE": np.where(customer % 2, "115", "Unknown"),
            "PRODUCT_SUBCLASS": item // 5,
            "PRODUCT_ID": item + 4710000000000,
            "AMOUNT": rng.integers(1, 4, rows),
            "ASSET": 1,
            "SALES_PRICE": rng.integers(0, 300, rows),
        }
    )


def read(frame: pd.DataFrame) -> Purchases:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ta_feng_all_months_merged.csv", frame.to_csv(index=False))
    return ta_feng.read(packed.getvalue())


@pytest.fixture(scope="module")
def purchases() -> Purchases:
    return read(table())


def test_a_purchase_is_a_user_an_item_and_a_day(purchases) -> None:
    assert (np.diff(purchases.day) >= 0).all()
    key = (purchases.user * 60 + purchases.item) * 128 + purchases.day
    assert len(np.unique(key)) == len(key)
    assert purchases.sizes[0] == 50
    assert purchases.sizes[3] == 2, "an unknown age is an age group too"
    assert len(purchases.sizes) == len(SPARSE)


def test_the_past_is_counted_up_to_the_day_before() -> None:
    past = Past(np.array([5, 5, 5, 6]), np.array([1, 3, 9, 2]))
    asked = np.array([5, 5, 5, 6, 7])
    day = np.array([3, 10, 1, 3, 9])
    assert past.count(asked, day).tolist() == [1, 3, 0, 1, 0]
    assert past.count(asked, day, window=2).tolist() == [1, 1, 0, 1, 0]
    days, rows = past.last(asked, day)
    assert days.tolist() == [2, 1, 128, 1, 128]
    assert rows.tolist() == [0, 2, -1, 3, -1]


def test_features_know_nothing_of_the_day_itself_or_later() -> None:
    frame = table()
    day = pd.to_datetime(frame["TRANSACTION_DT"], format="%m/%d/%Y")
    later = frame.copy()
    future = (day - day.min()).dt.days >= 30
    later.loc[future, "SALES_PRICE"] += 1000
    later.loc[future, "PRODUCT_ID"] = np.roll(later.loc[future, "PRODUCT_ID"], 7)
    one, other = read(frame), read(later)
    rng = np.random.default_rng(1)
    user, item, when = rng.integers(0, 50, 400), rng.integers(0, 60, 400), np.full(400, 30)
    mine, others = Features(one)(user, item, when), Features(other)(user, item, when)
    np.testing.assert_array_equal(mine["dense"], others["dense"])
    assert mine["dense"].shape == (400, DENSE)
    assert mine["dense"].dtype == np.float32
    columns = [i for i, name in enumerate(SPARSE) if name not in ("subclass", "last_subclass")]
    np.testing.assert_array_equal(mine["sparse"][:, columns], others["sparse"][:, columns])
    assert (mine["sparse"].max(axis=0) < one.sizes).all()


def test_labels_are_purchases_and_candidates_are_what_was_popular(purchases) -> None:
    visits = Visits(purchases)
    rng = np.random.default_rng(2)
    rows = visits.days(40, 60)
    assert purchases.day[rows].min() == 40
    user, item, day, label = visits.labelled(rows, rng)
    bought = set(zip(purchases.user.tolist(), purchases.item.tolist(), purchases.day.tolist(), strict=True))
    asked = zip(user.tolist(), item.tolist(), day.tolist(), strict=True)
    assert label.tolist() == [float(each in bought) for each in asked]
    assert (label[::5] == 1).all()
    drawn = np.bincount(visits.popular(np.full(20_000, 40), rng), minlength=60)
    before = purchases.item[visits.days(26, 40)]
    wanted = np.bincount(before, minlength=60) / len(before)
    np.testing.assert_allclose(drawn / 20_000, wanted, atol=0.02)
