"""A shop's day, from a table of hours and from recorded arrivals."""

import numpy as np
import pandas as pd
import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import day, units

HOURS = list(range(24))


def written(folder, text, name="day.csv"):
    path = folder / name
    path.write_text(text)
    return path


def table(factors, hours=HOURS):
    return "hour,factor\n" + "".join(f"{hour},{factor}\n" for hour, factor in zip(hours, factors, strict=True))


def test_the_usual_day_is_a_day_with_one_peak():
    assert len(day.USUAL) == 24
    assert max(day.USUAL) == 1.0
    assert min(day.USUAL) > 0


def test_a_table_in_any_order_is_scaled_to_its_busiest_hour(tmp_path):
    found = day.read(written(tmp_path, table([0, *[50] * 22, 200], hours=[5, *HOURS[:5], *HOURS[6:]])))
    assert found == (*[0.25] * 5, day.QUIETEST, *[0.25] * 17, 1.0)


def test_blanks_in_the_head_are_no_part_of_a_name(tmp_path):
    spaced = table([1] * 24).replace("hour,factor", "hour , factor ")
    assert day.read(written(tmp_path, spaced)) == (1.0,) * 24


def test_recorded_arrivals_are_counted_by_the_hour_over_whole_days(tmp_path):
    counts = np.tile([10] * 20 + [40] * 4, 2)
    seconds = np.concatenate([3600 * hour + np.linspace(0, 3599, n) for hour, n in enumerate([*counts, 90])])
    path = tmp_path / "arrivals.parquet"
    pd.DataFrame({"arrival": seconds}).to_parquet(path)
    assert day.read(path) == (*[0.25] * 20, *[1.0] * 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("hour,share\n0,1\n", "has no column factor beside hour", id="no factor"),
        pytest.param(table([1] * 23, HOURS[:23]), "each hour from 0 to 23 once", id="an hour is missing"),
        pytest.param(table([1] * 24, [0, 0, *HOURS[2:]]), "each hour from 0 to 23 once", id="an hour twice"),
        pytest.param(table(["much"] * 24), "that is not numbers", id="words"),
        pytest.param(table([0] * 24), "one above it", id="nothing at all"),
        pytest.param(table([-1, *[1] * 23]), "factors of 0 or more", id="less than nothing"),
        pytest.param(table(["nan", *[1] * 23]), "factors of 0 or more", id="not a number"),
        pytest.param("arrival\n" + "".join(f"{n}\n" for n in range(200)), "covers 0.0553 hours", id="no day"),
        pytest.param("", "is not a readable .csv file", id="nothing"),
        pytest.param("when\n1\n", "has no column arrival", id="no trace"),
    ],
)
def test_what_is_no_day_is_told_in_one_line(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=said) as raised:
        day.read(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        day.read(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"must be a \.csv or \.parquet file"):
        day.read(written(tmp_path, "x", "day.txt"))


@pytest.mark.parametrize(("text", "qps"), [("12000", 12_000.0), ("12k", 12_000.0), ("1.5M", 1.5e6), ("0.5", 0.5)])
def test_rates_have_thousands_and_millions(text, qps):
    assert units.rate(text) == qps


@pytest.mark.parametrize("text", ["0", "", "k", "-1", "1 M", "1G", "2000M", 5, None])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="as in 12000, 12k or 1M"):
        units.rate(text)
