"""A person's own torch models: a factory that returns a Workload, and torch.export's files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bakeoff.errors import UserError
from bakeoff.workloads import prepare

pytestmark = pytest.mark.slow

SHOP = '''
import numpy as np
import torch
from bakeoff.backends import Tensor
from bakeoff.workloads.workload import HeldOut, Trained, Workload, chunks


class Ranker(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = torch.nn.Embedding(40, 4), torch.nn.Linear(7, 1)

    def forward(self, x, ids):
        return torch.sigmoid(self.layer(torch.cat([x, self.table(ids)], dim=1)))[:, 0]


class Shop(Workload):
    """What a reader of the README writes."""

    name = "shop"
    licence = "ours"
    inputs = (Tensor("x", "float32", (None, 3)), Tensor("ids", "int64", (None,)))
    outputs = ("click",)
    judged = "click"
    metrics = ("auc",)

    def train(self, seed, cache, progress):
        torch.manual_seed(seed)
        progress("training the shop")
        return Trained(Ranker().eval(), {"clicks": np.int64(3)})

    def requests(self, rows, seed, cache, progress):
        rng = np.random.default_rng(seed)
        count = int(rows.sum())
        return {"x": rng.normal(size=(count, 3)).astype(np.float32), "ids": rng.integers(0, 40, count)}

    def held_out(self, chunk, seed, cache, progress):
        rows = chunks(100, chunk)
        return HeldOut(self.requests(rows, 1, cache, progress), rows, labels=(np.arange(100) % 2).astype(np.float32))
'''


def run(code: str, folder: Path) -> None:
    """Run code that needs torch in a process of its own, as the product does."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.engines
def test_a_factory_from_the_current_folder(scenario_of, tmp_path, monkeypatch) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "models.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    scenario = scenario_of("shop.models:Shop", batch_size=5)
    prepared = prepare(scenario, 1 << 16, told.append)
    assert "training the shop" in told
    assert any("ours" in line for line in told), "the licence is told"
    assert prepared.facts["clicks"] == 3
    assert prepared.facts.keys() >= {"base_auc", "requests"}
    assert prepared.variants["base"].keys() == {"onnx", "exported"}
    assert prepared.holdout().requests.items.tolist() == [100]
    session = onnxruntime.InferenceSession(str(prepared.variants["base"]["onnx"]))
    pool = prepared.requests()
    for i in range(pool.references):
        np.testing.assert_allclose(session.run(None, pool.get(i))[0], pool.reference(i)["click"], atol=1e-5)
    told.clear()
    assert prepare(scenario_of("shop.models:Shop", batch_size=6), 1 << 16, told.append).key != prepared.key
    assert "training the shop" not in told, "other requests do not train it again"
    (tmp_path / "shop" / "models.py").write_text(SHOP.replace('"click"', '"buy"').replace("0])", "0]*2)"))
    assert prepare(scenario, 1 << 16, told.append).outputs == ("buy",)
    assert "training the shop" in told, "another module does"


def test_a_mistake_in_a_factorys_methods_is_told_with_its_line(scenario_of, tmp_path, monkeypatch) -> None:
    (tmp_path / "slip.py").write_text(SHOP.replace("rng.integers(0, 40, count)", "rng.integers(0, 40, no_such_name)"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"workload slip:Shop: NameError: name 'no_such_name' .*\(slip.py, line \d+\)"):
        prepare(scenario_of("slip:Shop"))


def test_what_a_factory_finds_unavailable_is_the_persons_to_mend(scenario_of, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    raising = "def unavailable():\n    from bakeoff.backends import Unavailable\n"
    raising += "    raise Unavailable('no weights', 'fetch them')\n"
    (tmp_path / "far.py").write_text(raising + SHOP.replace("rng.integers(0, 40, count)", "unavailable()"))
    told = r"workload far:Shop: Unavailable: no weights \(fetch them\) \(far.py, line \d+\)"
    with pytest.raises(UserError, match=told):
        prepare(scenario_of("far:Shop"))


EXPORT = """
import torch
from torch.export import Dim, export, save
class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = torch.nn.Embedding(40, 4), torch.nn.Linear(4, 1)
    def forward(self, ids, weight):
        mean = (self.table(ids) * weight.unsqueeze(-1)).sum(1)
        return self.layer(mean)[:, 0], mean
n = Dim("n", min=1, max=512)
example = (torch.zeros(3, 6, dtype=torch.int64), torch.ones(3, 6))
save(export(Two().eval(), example, dynamic_shapes=({0: n}, {0: n})), "two.pt2")
class OfDict(torch.nn.Module):
    def forward(self, x):
        return x["a"] * 2
"""


@pytest.mark.engines
def test_an_exported_file_runs_as_it_is_and_as_onnx(scenario_of, tmp_path) -> None:
    run(EXPORT, tmp_path)
    prepared = prepare(scenario_of(tmp_path / "two.pt2"), 1 << 16)
    assert prepared.provisional
    assert prepared.variants["base"].keys() == {"exported", "onnx"}
    assert [tensor.shape for tensor in prepared.inputs] == [(None, 6), (None, 6)]
    assert prepared.outputs == ("output_0", "output_1")
    assert prepared.judged == "output_0"
    pool = prepared.requests()
    assert max(pool.get(i)["ids"].max() for i in range(pool.count)) < 40
    session = onnxruntime.InferenceSession(str(prepared.variants["base"]["onnx"]))
    for answer, wanted in zip(session.run(None, pool.get(0)), pool.reference(0).values(), strict=True):
        np.testing.assert_allclose(answer, wanted, atol=1e-5)


def test_a_bad_exported_file_gets_one_clear_line(scenario_of, tmp_path) -> None:
    (tmp_path / "bad.pt2").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"bad\.pt2: is no torch.export program"):
        prepare(scenario_of(tmp_path / "bad.pt2"))
