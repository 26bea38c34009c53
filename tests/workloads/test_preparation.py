"""Raw requests and their preparation: exactly the inputs that the pool holds, for every request."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bakeoff.errors import UserError
from bakeoff.workloads import cache_dir, ctr_preparation, prepare
from bakeoff.workloads.ctr_preparation import CtrPreparation
from bakeoff.workloads.feed_preparation import FeedPreparation
from bakeoff.workloads.preparation import IdLookup, Preparation, Texts, hashed, preparation_of, unmixed, utf8
from bakeoff.workloads.prepared import Requests
from bakeoff.workloads.tower_preparation import TowerPreparation
from bakeoff.workloads.wide_preparation import WidePreparation
from bakeoff.workloads.workload import Workload
from bakeoff.workloads.writing import write_raw, write_requests

IDS = np.array([40, 7, 900, 12])
PREPARATIONS = sorted(file.stem for file in Path(ctr_preparation.__file__).parent.glob("*preparation.py"))


def test_ids_are_found_in_any_order_and_shape() -> None:
    assert IdLookup(IDS)(np.array([[12, 40], [7, 900]])).tolist() == [[3, 0], [1, 2]]
    assert IdLookup(utf8(["b", "ä", "a"]))(utf8(["ä", "a", "b", "ä"])).tolist() == [1, 2, 0, 1]
    assert IdLookup(IDS)(np.array([], np.int64)).tolist() == []


def test_unknown_ids_go_to_the_reserved_row_or_are_hashed_into_the_buckets() -> None:
    unknown = np.arange(1000, 5000)
    assert set(IdLookup(IDS, unknown=4)(np.append(unknown, [-1, 2**62])).tolist()) == {4}
    rows = IdLookup(IDS, unknown=4, buckets=16)(np.append(unknown, 7))
    assert rows[-1] == 1
    counts = np.bincount(rows[:-1] - 4, minlength=16)
    assert len(counts) == 16
    assert counts.min() > 180, "4000 neighbouring ids spread over 16 buckets"
    assert IdLookup(utf8(["a"]), 1, 4)(utf8(["b", "a", "b"]))[[0, 1]].tolist() == [1 + hashed(utf8(["b"]), 4)[0], 0]


def splitmix64(number: int) -> int:
    """The finaliser of Steele et al., Fast splittable pseudorandom number generators, 2014, in whole numbers."""
    mask = (1 << 64) - 1
    mixed = number & mask
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & mask
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
    return mixed ^ mixed >> 31


def test_a_hash_is_the_same_on_every_machine_and_day() -> None:
    numbers = [0, 1, 2, -3, 2**62, 4719090700009]
    assert hashed(np.array(numbers), 1 << 40).tolist() == [splitmix64(number) % (1 << 40) for number in numbers]
    assert hashed(utf8(["123456789", ""]), 1 << 32).tolist() == [0xCBF43926, 0], "CRC-32's check value"


def test_ids_are_hashed_into_each_table_and_found_by_their_hash() -> None:
    ids = np.array([[0, 1], [-3, 2**62]])
    by_table = np.stack([hashed(ids[:, 0], 7), hashed(ids[:, 1], 1000)], axis=1)
    assert hashed(ids, np.array([7, 1000])).tolist() == by_table.tolist()
    hashes = np.array([0, 1, 123456789, 2**62, 2**63 - 1, -1])
    assert [splitmix64(number) for number in unmixed(hashes).tolist()] == [number % 2**64 for number in hashes.tolist()]


def test_a_worker_imports_every_preparation_with_numpy_alone() -> None:
    code = f"""
import importlib, sys
for name in {PREPARATIONS}:
    importlib.import_module("bakeoff.workloads." + name)
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "pyarrow", "scipy", "sklearn", "onnx", "pydantic", "tokenizers"} & set(found)


def assert_exact(workload: Workload, preparation: type[Preparation], folder: Path, seed: int = 0) -> Requests:
    """The preparation of every raw request gives the request's inputs, bit by bit."""
    cache = cache_dir() / "downloads"
    rows = np.array([1, 17, 3, 200, 64, 5, 100, 33, 2, 9]) + workload.beside
    raw = workload.raw_requests(rows, seed, cache, lambda _: None, folder)
    write_requests(folder, workload.inputs, workload.requests(rows, seed, cache, lambda _: None), rows, workload.beside)
    write_raw(folder, workload.raw_inputs, raw)
    pool = Requests(folder, workload.inputs, (), raw_inputs=workload.raw_inputs)
    prepared = preparation(folder)
    for i in range(pool.count):
        inputs = prepared(pool.raw(i))
        assert inputs.keys() == pool.get(i).keys()
        for name, right in pool.get(i).items():
            assert inputs[name].dtype == right.dtype
            assert inputs[name].flags.c_contiguous
            np.testing.assert_array_equal(inputs[name], right)
    return pool


@pytest.mark.slow
def test_the_click_models_requests_are_prepared_from_the_shops_ids(tmp_path: Path) -> None:
    from bakeoff.workloads.ctr_dlrm import CtrDlrm

    pool = assert_exact(CtrDlrm(), CtrPreparation, tmp_path)
    raw = pool.raw(3)
    assert raw["customer"].shape == (1,)
    assert raw["product"].min() > 10**6, "product numbers as on the till roll, no row numbers"
    assert raw["counts"].shape == (200, ctr_preparation.COUNTS)
    stranger = CtrPreparation(tmp_path)(raw | {"customer": np.array([-5]), "last_product": np.array([-1])})
    users, items = (len(np.load(tmp_path / f"{name}.npy")) for name in ("user", "item"))
    assert 0 <= stranger["sparse"][0, 0] < users
    assert (stranger["sparse"][:, 6] == items).all(), "the row of no product"


@pytest.mark.engines
@pytest.mark.slow
def test_the_search_models_requests_are_prepared_from_texts(tmp_path: Path) -> None:
    from bakeoff.workloads.search_biencoder import SearchBiencoder

    pool = assert_exact(SearchBiencoder(), Texts, tmp_path, seed=5)
    query, text = pool.raw(1)["text"][:2].tolist()
    assert len(query) < len(text)
    assert b" " in query


@pytest.mark.engines
@pytest.mark.slow
def test_the_category_models_requests_are_prepared_from_texts(tmp_path: Path) -> None:
    from bakeoff.workloads.product_category import ProductCategory

    pool = assert_exact(ProductCategory(), Texts, tmp_path, seed=5)
    assert all(b" " in text for text in pool.raw(3)["text"].tolist())
    never_seen = Texts(tmp_path)({"text": utf8(["Qwghlm \N{SNOWMAN}"])})
    assert never_seen["input_ids"].shape == pool.get(0)["input_ids"].shape


@pytest.mark.slow
@pytest.mark.parametrize("data", ["ta-feng", "movielens-100k"])
def test_the_feeds_requests_are_prepared_from_the_shops_ids(data: str, tmp_path: Path) -> None:
    from bakeoff.workloads.feed_sasrec import FeedSasrec

    workload = FeedSasrec(data)
    pool = assert_exact(workload, FeedPreparation, tmp_path)
    raws, length = [pool.raw(i) for i in range(pool.count)], workload.inputs[0].shape[1]
    assert all(raw["history"].shape == (1, length) for raw in raws)
    assert all(raw["candidates"].min() > 0 for raw in raws), "only the history may end early"
    assert any((raw["history"][0, -1:] == -1).all() for raw in raws), "some users did less than the history holds"
    assert all(raw["history"][0, 0] > 0 for raw in raws), "the newest first"
    if data == "ta-feng":
        assert raws[3]["candidates"].min() > 10**6, "product numbers as on the till roll"


def test_a_feed_leaves_unknown_products_out_and_pads_from_the_left(tmp_path: Path) -> None:
    np.save(tmp_path / "item.npy", np.array([-1, 40, 7, 900]))
    raw = {"history": np.array([[900, 5, 40, 7, -1]]), "candidates": np.array([7, 6, 40])}
    inputs = FeedPreparation(tmp_path)(raw)
    assert inputs["history"].tolist() == [[0, 0, 2, 1, 3]]
    assert inputs["candidates"].tolist() == [2, 0, 1]
    newcomer = FeedPreparation(tmp_path)(raw | {"history": np.full((1, 5), -1)})
    assert newcomer["history"].tolist() == [[0] * 5]


@pytest.mark.slow
def test_the_towers_requests_are_prepared_from_what_the_shop_knows(tmp_path: Path) -> None:
    from bakeoff.workloads.two_tower import ITEMS, PAST, TwoTowers

    pool = assert_exact(TwoTowers(), TowerPreparation, tmp_path)
    raw = pool.raw(3)
    assert raw["last_products"].shape == (200, PAST)
    assert raw["last_products"].max() > 10**6, "product numbers as on the till roll"
    assert raw["last_products"].min() == -1, "and of some customers fewer"
    assert raw["age_group"].dtype.kind == raw["area"].dtype.kind == "S"
    strange = {"customer": raw["customer"] * 0 - 5, "last_products": raw["last_products"] * 0 + 3}
    strange |= {"age_group": utf8(["?"] * 200), "area": utf8(["elsewhere"] * 200)}
    inputs = TowerPreparation(tmp_path)(raw | strange)
    assert (inputs["history"] == ITEMS).all(), "the row of nothing"
    users, ages, areas = (len(np.load(tmp_path / f"{name}.npy")) for name in ("user", "age", "area"))
    assert 0 <= inputs["user"].min() == inputs["user"].max() < users
    assert (inputs["context"].max(axis=0) < [ages, areas, 7]).all()


@pytest.mark.parametrize("tables", [1, 2, 5, 8])
def test_the_wide_models_requests_are_prepared_by_hashing(tables: int, tmp_path: Path) -> None:
    from bakeoff.workloads.wide_ctr_scale import WideCtrScale

    workload = WideCtrScale(rows=10_003, dim=4, tables=tables)
    pool = assert_exact(workload, WidePreparation, tmp_path)
    raw = pool.raw(3)
    assert raw["user_ids"].shape == (1, tables // 2)
    assert raw["item_ids"].shape == (200, tables - tables // 2)
    assert np.abs(raw["item_ids"]).max() > 2**60, "ids of 64 bits"
    never_seen = np.random.default_rng(0).integers(-(2**63), 2**63, raw["item_ids"].shape)
    rows = WidePreparation(tmp_path)(raw | {"item_ids": never_seen})["sparse"]
    assert rows.min() >= 0
    assert (rows.max(axis=0) < workload.sizes).all()


SHOP = """
import numpy as np
import torch
from bakeoff.backends import Tensor
from bakeoff.workloads.preparation import Preparation
from bakeoff.workloads.workload import HeldOut, Trained, Workload, chunks


class Half(torch.nn.Module):
    def forward(self, x):
        return torch.sigmoid(x.sum(1) / 2)


class Plain(Workload):
    name = "plain"
    inputs = (Tensor("x", "float32", (None, 3)),)
    outputs = ("click",)
    judged = "click"
    metrics = ("auc",)

    def train(self, seed, cache, progress):
        return Trained(Half().eval())

    def requests(self, rows, seed, cache, progress):
        return {"x": np.random.default_rng(seed).integers(0, 9, (int(rows.sum()), 3)).astype(np.float32) * 2}

    def held_out(self, chunk, seed, cache, progress):
        rows = chunks(100, chunk)
        return HeldOut(self.requests(rows, 1, cache, progress), rows, labels=(np.arange(100) % 2).astype(np.float32))


class Shop(Plain):
    name = "shop"
    preparation = "shop:Scaled"
    raw_inputs = (Tensor("counts", "int16", (None, 3)),)

    def raw_requests(self, rows, seed, cache, progress, into):
        np.save(into / "factor.npy", np.float32(2))
        return {"counts": (self.requests(rows, seed, cache, progress)["x"] / 2).astype(np.int16)}


class Scaled(Preparation):
    def __init__(self, folder):
        self.factor = np.load(folder / "factor.npy")

    def __call__(self, raw):
        return {"x": raw["counts"] * self.factor}
"""


@pytest.mark.engines
@pytest.mark.slow
def test_a_workload_of_ones_own_brings_its_preparation(scenario_of, tmp_path, monkeypatch) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    prepared = prepare(scenario_of("shop:Shop", include_preparation=True), 1 << 12)
    assert prepared.requests().raw(0)["counts"].dtype == np.int16
    monkeypatch.setattr(sys, "path", [*sys.path])
    found, pool = preparation_of(prepared), prepared.requests()
    assert found is not None
    for i in range(pool.count):
        np.testing.assert_array_equal(found(pool.raw(i))["x"], pool.get(i)["x"])
    with pytest.raises(UserError, match="include_preparation: plain has no preparation of its requests to include"):
        prepare(scenario_of("shop:Plain", include_preparation=True), 1 << 12)


def test_the_key_of_what_is_prepared_changes_only_with_the_switch(scenario_of) -> None:
    from bakeoff.workloads.preparing import spec_of
    from bakeoff.workloads.source import Spec

    without, included = (spec_of(scenario_of("ctr-dlrm", include_preparation=switch), 1) for switch in (False, True))
    assert "include_preparation" not in without.to_json()
    assert spec_of(scenario_of("ctr-dlrm"), 1).key == without.key != included.key
    assert Spec.from_json(included.to_json()) == included
    assert Spec.from_json(without.to_json()) == without
