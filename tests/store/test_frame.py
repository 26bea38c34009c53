import pandas as pd
import pytest

from bakeoff.store.frame import COLUMNS, LEDGER_COLUMNS, frame, ledger_frame
from bakeoff.store.percentile import percentile_or_none, smallest_sample
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store


@pytest.fixture
def record(tmp_path, begun, candidate, block):
    with Store.open(tmp_path / "b.db") as store:
        run = begun(store)
        store.add_row(run, "ctr", None, LedgerRow("prepare", "ok", seconds=2.0))
        store.add_row(run, "ctr", candidate.id, LedgerRow("screen", "ok"))
        store.add_block(run, "ctr", candidate.id, 0, 0, block(600, peak_memory_bytes=9))
        store.add_block(run, "ctr", candidate.id, 1, 0, block(100, unanswered=40))
        store.add_block(run, "ctr", candidate.id, 1, 1, block(20, unanswered=20, kind="closed"))
        other = type(candidate)("torch", "fp32", candidate.setting)
        store.add_candidate(run, "ctr", other)
        yield store.load(run)


def test_a_row_per_block_and_one_for_each_candidate_without(record):
    table = frame(record)
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert list(table["round"].fillna(-1)) == [0, 1, 1, -1]
    assert list(table["outcome"]) == ["ok", "ok", "ok", "not-reached"]
    assert table["fact_peak_memory_bytes"].dropna().tolist() == [9]
    assert table["answered"].dropna().tolist() == [600, 60, 0]


def test_a_figure_is_missing_where_the_sample_cannot_carry_it(record):
    table = frame(record)
    whole, part, silent, absent = (table.iloc[i] for i in range(4))
    assert 1.0 < whole["p50_ms"] < whole["p99_ms"] < 10.0
    assert pd.isna(whole["p999_ms"])
    assert pd.isna(part["p99_ms"])
    assert part["mean_ms"] > 0
    for row in (silent, absent):
        assert pd.isna(row[["mean_ms", "p50_ms", "p99_ms", "cpu_ms_per_request", "items_per_s"]]).all()


def test_the_share_of_the_preparation_is_derived_where_it_was_timed(tmp_path, begun, candidate, block):
    with Store.open(tmp_path / "c.db") as store:
        run = begun(store)
        store.add_block(run, "ctr", candidate.id, 0, 0, block(100, preparation_ns=50_000_000))
        store.add_block(run, "ctr", candidate.id, 1, 0, block(100))
        timed, not_timed = frame(store.load(run))["preparation_share"]
    assert timed == pytest.approx(50 / block(100).service_ms().sum())
    assert pd.isna(not_timed)


def test_so_is_the_share_of_the_transfers_between_devices(tmp_path, begun, candidate, block):
    with Store.open(tmp_path / "d.db") as store:
        run = begun(store)
        store.add_block(run, "ctr", candidate.id, 0, 0, block(100, transfer_ns=20_000_000))
        (share,) = frame(store.load(run))["transfer_share"]
    assert share == pytest.approx(20 / block(100).service_ms().sum())


def test_the_ledger_as_a_table(record):
    table = ledger_frame(record)
    assert list(table.columns) == list(LEDGER_COLUMNS)
    assert table["stage"].tolist() == ["prepare", "screen"]
    assert pd.isna(table["candidate"].iloc[0])


def test_a_percentile_needs_its_sample():
    assert [smallest_sample(p) for p in (50.0, 95.0, 99.0, 99.9)] == [5, 59, 299, 2995]
    import numpy as np

    assert percentile_or_none(np.arange(20.0), 99.9) is None
    assert percentile_or_none(np.arange(1000.0), 99.0) == 989.0
    assert percentile_or_none(np.full(1000, np.inf), 99.0) is None
