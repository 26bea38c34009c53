"""The workload of large tables: what it asks for, what it refuses, and that it judges nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bakeoff.errors import UserError
from bakeoff.scenario import load_scenario
from bakeoff.workloads import exporting, spare_memory, wide_ctr_scale
from bakeoff.workloads.wide_ctr_scale import WideCtrScale, zipf_ids

SCENARIO = Path(__file__).parents[2] / "scenarios" / "wide-ctr-scale.yaml"


def quiet(_: str) -> None:
    return


@pytest.fixture
def small():
    return WideCtrScale(rows=1003, dim=8, tables=4)


def test_rows_are_of_all_tables_together(small, tmp_path):
    trained = small.train(1, tmp_path, quiet)
    assert [table.num_embeddings for table in trained.module.tables] == [250, 251, 251, 251]
    assert trained.facts["table_bytes"] == 1003 * 8 * 4
    assert trained.facts["table_bytes"] == sum(table.weight.nbytes for table in trained.module.tables)


def test_the_default_is_a_quarter_of_a_gigabyte():
    wide = WideCtrScale()
    assert wide_ctr_scale.table_bytes(sum(wide.sizes), wide.dim) == 256_000_000


def test_a_request_is_one_user_and_many_items(small, tmp_path):
    rows = np.array([100, 1, 30])
    arrays = small.requests(rows, 5, tmp_path, quiet)
    assert arrays["dense"].shape == (131, 13)
    assert arrays["dense"].dtype == np.float32
    sparse = arrays["sparse"]
    assert sparse.shape == (131, 4)
    assert sparse.dtype == np.int64
    assert (sparse >= 0).all()
    assert (sparse.max(axis=0) < small.sizes).all()
    assert (sparse[:100, :2] == sparse[0, :2]).all()
    assert (arrays["dense"][:100, :6] == arrays["dense"][0, :6]).all()
    assert len(np.unique(sparse[:100, 3])) > 10
    again = small.requests(rows, 5, tmp_path, quiet)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())
    assert not np.array_equal(small.requests(rows, 6, tmp_path, quiet)["sparse"], sparse)


def test_the_users_half_can_be_looked_up_once_per_request(small, tmp_path):
    arrays = small.requests(np.array([50]), 5, tmp_path, quiet)
    module = small.train(1, tmp_path, quiet).module
    answers = [
        exporting.run(each, small.inputs, small.outputs, arrays)["click"] for each in (module, small.tiled(module))
    ]
    np.testing.assert_allclose(*answers, atol=1e-6, rtol=0)


def test_answers_depend_on_the_ids(small, tmp_path):
    arrays = small.requests(np.array([50]), 5, tmp_path, quiet)
    module = small.train(1, tmp_path, quiet).module
    dense, sparse = (torch.from_numpy(arrays[name]) for name in ("dense", "sparse"))
    with torch.no_grad():
        moved = module(dense, sparse.roll(1, 0)) - module(dense, sparse)
    assert float(moved.abs().max()) > 1e-3


def test_few_ids_are_most_of_the_views_and_lie_apart():
    ids = zipf_ids(10_000, 200_000, np.random.default_rng(1))
    counts = np.bincount(ids, minlength=10_000)
    assert len(counts) == 10_000
    by_views = np.argsort(-counts)
    popular = np.sort(by_views[:100])
    assert 0.4 < counts[popular].sum() / 200_000 < 0.75
    assert np.diff(popular).max() < 500, "spread over the whole table"
    slope = np.polyfit(np.log([2, 200]), np.log([counts[by_views[1]], counts[by_views[180:220]].mean()]), 1)[0]
    assert slope == pytest.approx(-1.05, abs=0.15)


@pytest.mark.parametrize("size", [1, 2, 6, 97, 1000])
def test_every_id_can_come(size):
    assert set(zipf_ids(size, 20_000 * 5, np.random.default_rng(1)).tolist()) == set(range(size))


def test_nothing_is_judged(small, tmp_path):
    held = small.held_out(700, 1, tmp_path, quiet)
    assert (small.data, small.metrics) == ("generated", ())
    assert "no quality" in small.licence
    assert held.labels is None
    assert held.rows.sum() == len(held.arrays["dense"]) == 2048


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dim": 3}, "dim must be at least 4, not 3"),
        ({"tables": 0}, "tables must be from 1 to 64, not 0"),
        ({"rows": 7}, "rows must be at least one for each of the 8 tables, not 7"),
        ({"rows": -5}, "rows must be at least one"),
    ],
)
def test_a_bad_parameter_is_one_line(options, says):
    with pytest.raises(UserError, match=says) as caught:
        WideCtrScale(**options)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused_with_what_would(monkeypatch):
    monkeypatch.setattr(wide_ctr_scale, "spare_bytes", lambda: 10_000_000_000)
    with pytest.raises(UserError, match=r"100000000 of dim=32 need 64.0 GB .* 10.0 GB are free; rows=15625000 would"):
        WideCtrScale(rows=100_000_000)
    WideCtrScale(rows=15_625_000)


def test_a_control_group_may_leave_less_than_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(spare_memory, "_GROUP", tmp_path)
    everything = spare_memory.spare_bytes()
    assert everything > 1 << 20
    (tmp_path / "memory.current").write_text("300000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert spare_memory.spare_bytes() > 1 << 20
    (tmp_path / "memory.max").write_text("1000000\n")
    assert spare_memory.spare_bytes() == 700_000


def test_its_scenario_asks_for_it():
    scenario = load_scenario(SCENARIO)
    assert scenario.workload == "wide-ctr-scale"
    assert not scenario.quality
