"""Recorded arrivals: every form of file that is one, and one line for each that is not."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import load_scenario, override, restore
from bakeoff.scenario.trace import MOST_SIZES, parse

SCENARIO = "workload: ctr-dlrm\nsla: {p99: 20ms}\ntraffic: {kind: trace, trace: "
SECONDS = np.arange(200) * 0.25 + 1.7e9


@pytest.fixture
def loaded(write):
    """Reads a scenario about a trace of these columns."""

    def read(more="", name="t.csv", **columns):
        path = write(SCENARIO + name + more + "}")
        frame = pd.DataFrame({"arrival": SECONDS} | columns)
        frame.to_csv(name, index=False) if name.endswith("csv") else frame.to_parquet(name)
        return load_scenario(path)

    return read


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    "arrival",
    [
        SECONDS,
        SECONDS[::-1],
        pd.to_datetime(SECONDS, unit="s"),
        pd.to_datetime(SECONDS, unit="s", utc=True),
        pd.to_datetime(SECONDS, unit="s").tz_localize("Asia/Tokyo"),
    ],
    ids=["seconds", "unsorted", "local", "utc", "zone"],
)
def test_seconds_and_timestamps_in_any_order(loaded, name, arrival):
    trace = loaded(name=name, arrival=arrival).traffic.trace
    assert (trace.requests, trace.sizes) == (200, None)
    assert trace.qps == pytest.approx(4.0)
    np.testing.assert_allclose(trace.read().times_s, np.arange(200) * 0.25, atol=1e-6)


def test_its_own_rate_or_the_one_that_is_given(loaded):
    own, given = loaded().traffic, loaded(", qps: 30").traffic
    assert (own.qps, own.rate, own.open_loop, own.asks_capacity) == (None, pytest.approx(4.0), True, False)
    assert (given.rate, given.trace.qps) == (30, pytest.approx(4.0))
    asked = loaded(", qps: max").traffic
    assert (asked.rate, asked.asks_capacity) == (None, True)
    assert override(loaded(), qps=9).traffic.rate == 9


def test_sizes_come_from_the_trace_in_the_order_of_time(loaded):
    items = np.resize([100, 200, 200, 700], 200)
    scenario = loaded(arrival=SECONDS[::-1], items=items)
    assert scenario.traffic.batch_size == ((100, 0.25), (200, 0.5), (700, 0.25))
    assert scenario.traffic.mean_items == 300
    np.testing.assert_array_equal(scenario.traffic.trace.read().items, items[::-1])


def test_many_sizes_are_stood_for_by_a_few():
    items = np.random.default_rng(1).lognormal(5, 1, 5000).astype(int) + 1
    csv = pd.DataFrame({"arrival": np.arange(5000), "items": items}).to_csv().encode()
    sizes = parse(csv, ".csv").sizes()
    assert MOST_SIZES / 2 < len(sizes) <= MOST_SIZES
    assert sum(share for _, share in sizes) == pytest.approx(1)
    assert sum(size * share for size, share in sizes) == pytest.approx(items.mean(), rel=0.01)
    assert sizes[-1].items > np.percentile(items, 99.5), "the tail is not averaged away"
    assert [size for size, _ in sizes] == sorted({size for size, _ in sizes})


def test_the_definition_holds_the_digest_and_comes_back_without_the_file(loaded):
    scenario = loaded(items=np.resize([1, 2], 200))
    definition = json.loads(json.dumps(scenario.definition()))
    assert definition["traffic"]["trace"]["file"] == str(Path.cwd() / "t.csv")
    assert len(definition["traffic"]["trace"]["sha256"]) == 64
    Path("t.csv").unlink()
    assert restore(definition) == scenario
    with pytest.raises(UserError, match=r"t\.csv: cannot be read: No such file"):
        scenario.traffic.trace.read()


def test_a_file_that_changed_is_refused(loaded):
    trace = loaded().traffic.trace
    with Path("t.csv").open("a") as file:
        file.write("1700000099\n")
    with pytest.raises(UserError, match=r"^\S+/t\.csv: has changed since the scenario was read$"):
        trace.read()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"arrival": np.where(np.arange(200) == 6, np.nan, SECONDS)}, "row 7 has no finite arrival"),
        ({"arrival": np.where(np.arange(200) == 6, np.inf, SECONDS)}, "row 7 has no finite arrival"),
        ({"arrival": ["soon"] * 200}, "has a column arrival that is neither seconds nor ISO 8601 timestamps"),
        ({"arrival": [True, False] * 100}, "has a column arrival that is neither seconds nor ISO 8601"),
        ({"arrival": [3.0] * 200}, "has all its arrivals at one moment"),
        ({"items": [-1] * 200}, "row 1 must have items from 1 to 100000"),
        ({"items": [0] * 200}, "row 1 must have items from 1 to 100000"),
        ({"items": [1, 1.5] * 100}, "row 2 must have items from 1 to 100000"),
        ({"items": [1, None] * 100}, "row 2 must have items from 1 to 100000"),
        ({"items": ["many"] * 200}, "has a column items that is not numbers"),
    ],
)
def test_columns_say_what_would_be_right(loaded, columns, expected):
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError) as caught:
            loaded(name=name, **columns)
        assert str(caught.value).startswith(f"x.yaml: traffic.trace: '{name}': {expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not a readable .csv file with a column arrival"),
        ("\0\1\2", "has no column arrival: seconds as a number, or ISO 8601 timestamps"),
        ("when\n1\n2\n", "has no column arrival: seconds as a number, or ISO 8601 timestamps"),
        ("arrival\n1\n2\n", "has 2 arrivals; a trace has from 100 to 10,000,000"),
        ('arrival\n"1\n2\n', "is not a readable .csv file with a column arrival"),
    ],
)
def test_files_that_are_no_trace(write, text, expected):
    Path("t.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        load_scenario(write(SCENARIO + "t.csv}"))
    assert str(caught.value).startswith(f"x.yaml: traffic.trace: 't.csv': {expected}")


@pytest.mark.parametrize(
    ("more", "columns", "expected"),
    [
        (
            ", batch_size: 4",
            {"items": [2] * 200},
            "traffic.batch_size: 4: comes from the trace, which has items",
        ),
        ("", {"arrival": SECONDS * 1000}, "traffic.qps: missing, and the trace's own rate is 0.004 per second (is its"),
        ("", {"arrival": np.arange(200) / 1e9}, "traffic.qps: missing, and the trace's own rate is 1e+09 per second"),
    ],
)
def test_what_does_not_go_with_a_trace(loaded, more, columns, expected):
    with pytest.raises(UserError) as caught:
        loaded(more, **columns)
    assert str(caught.value).startswith(f"x.yaml: {expected}")


def test_a_trace_without_items_takes_a_batch_size_and_one_with_items_none(loaded):
    assert loaded(", batch_size: 4").traffic.batch_size == ((4, 1.0),)
    with pytest.raises(UserError, match=r"options for x: traffic\.batch_size: .* comes from the trace"):
        override(loaded(items=[2] * 200), batch_size=4)
    with pytest.raises(UserError, match=r"traffic\.trace: .* goes with kind: trace"):
        restore(loaded().definition() | {"traffic": loaded().definition()["traffic"] | {"kind": "server", "qps": 3.0}})
