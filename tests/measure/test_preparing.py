"""The preparation of features as a part of the request: timed apart, in every block, and only where asked for."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from bakeoff.backends import Batching, Setting, Tensor
from bakeoff.measure.block import NEVER, Block
from bakeoff.measure.engine_room import Engine, StageFailed
from bakeoff.measure.traffic import poisson
from bakeoff.store.frame import FIGURES
from bakeoff.workloads.preparation import Preparation
from bakeoff.workloads.prepared import PREPARATION, Prepared
from bakeoff.workloads.raw_form import RawForm
from bakeoff.workloads.writing import write_manifest, write_raw

pytestmark = pytest.mark.alone

RAW = (Tensor("numbers", "float64", (None, 8)), Tensor("words", "S", (None, 2)))
SLEEPERS = '''
import time

import numpy as np
from naughty_backends import Honest, HonestSession
from bakeoff.workloads.preparation import IdLookup, Preparation


class Slow(Honest):
    """onnxruntime, and 4 ms more."""

    def session(self, engine):
        return SlowSession(engine)


class SlowSession(HonestSession):
    def infer(self, inputs):
        time.sleep(0.004)
        return super().infer(inputs)


class Sleepy(Preparation):
    """Right, and 4 ms late."""

    pause_s, slip = 0.004, 0.0

    def __init__(self, folder):
        self.lookup = IdLookup.read(folder / "words.npy")

    def __call__(self, raw):
        if self.pause_s:
            time.sleep(self.pause_s)
        return {"dense": (raw["numbers"] + self.slip).astype(np.float32), "ids": self.lookup(raw["words"])}


class Brisk(Sleepy):
    pause_s = 0.0


class Wrong(Brisk):
    slip = 1e-3
'''


@pytest.fixture
def raw_bench(bench, tiny_prepared, tmp_path, monkeypatch):
    """Starts an engine on the tiny workload, whose raw requests hold words and double precision, with a preparation."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "sleepers.py").write_text(SLEEPERS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(code), os.environ["PYTHONPATH"]]))

    def start(preparation: str, **more) -> Engine:
        folder = tmp_path / preparation
        copy_with_raw_requests(tiny_prepared, folder, f"sleepers:{preparation}")
        order = bench.order("Honest", **more)
        return Engine.start(replace(order, target="sleepers:Slow", prepared=folder), 60)

    return start


def copy_with_raw_requests(prepared: Prepared, folder, target: str) -> Prepared:
    (folder / PREPARATION).mkdir(parents=True)
    for part in prepared.folder.iterdir():
        if part.is_dir():
            (folder / part.name).mkdir()
            for file in part.iterdir():
                os.link(file, folder / part.name / file.name)
    words = np.array([f"word {number}".encode() for number in range(50)])
    np.save(folder / PREPARATION / "words.npy", words)
    pool = prepared.requests()
    whole = {name: np.concatenate([pool.get(i)[name] for i in range(pool.count)]) for name in ("dense", "ids")}
    raw = {"numbers": whole["dense"].astype(np.float64), "words": words[whole["ids"]]}
    write_raw(folder / "requests", RAW, raw)
    files = {"base": {"onnx": folder / "base" / "model.onnx"}}
    write_manifest(replace(prepared, folder=folder, variants=files, raw=RawForm(target, RAW)))
    return Prepared.read(folder)


def about_half(block: Block) -> None:
    assert block.facts["errors"] == 0
    assert block.facts["verified"] > 0
    assert 0.3 < block.preparation_share() < 0.7, "4 ms of preparation, 4 ms of engine"
    assert np.median(block.service_ms()) > 7.9, "both are in the service time"


@pytest.mark.slow
def test_its_share_is_found_in_every_kind_of_block(raw_bench):
    with raw_bench("Sleepy", setting=Setting("2x1", instances=2)) as engine:
        about_half(engine.closed(0.25))
        about_half(engine.open(poisson(100, 0.3, 3), 2.0))
        joined = engine.closed(0.25, lanes=1, join=4)
        assert 0.6 < joined.preparation_share() < 0.95, "four are prepared for one call"


@pytest.mark.slow
def test_a_batcher_joins_prepared_requests_and_a_calls_time_counts_once(raw_bench):
    setting = Setting("1x1", batching=Batching(64, 30.0))
    with raw_bench("Sleepy", setting=setting) as engine:
        block = engine.open(np.arange(60, dtype=np.int64) * 2_000_000, 5.0)
    calls = len(np.unique(block.started_ns))
    assert block.facts["errors"] == 0
    assert block.facts["verified"] > 0
    assert calls < len(block) / 3
    assert 0.6 < block.preparation_share() < 1.0
    assert block.facts["preparation_ns"] > 60 * 4e6


@pytest.mark.slow
def test_a_brisk_one_has_a_small_share(raw_bench):
    with raw_bench("Brisk") as engine:
        assert 0 < engine.closed(0.25).preparation_share() < 0.3


@pytest.mark.slow
def test_a_preparation_that_gives_other_inputs_is_refused(raw_bench):
    with pytest.raises(StageFailed) as failed:
        raw_bench("Wrong")
    assert (failed.value.stage, failed.value.outcome) == ("verify", "wrong-output")
    assert failed.value.reason == "the preparation of request 0 gives another 'dense' than the model's input"


def test_where_it_is_not_asked_for_nothing_is_recorded(bench):
    with bench.start("Honest") as engine:
        block = engine.closed(0.1)
    assert "preparation_ns" not in block.facts
    assert np.isnan(block.preparation_share())


def test_the_raw_form_is_read_back(tiny_prepared, tmp_path):
    prepared = copy_with_raw_requests(tiny_prepared, tmp_path / "raw", "sleepers:Brisk")
    assert prepared.raw == RawForm("sleepers:Brisk", RAW)
    pool = prepared.requests()
    assert [len(pool.raw(i)["words"]) for i in range(4)] == [4, 8, 4, 8]
    assert pool.raw(3)["words"][0, 0] == b"word %d" % pool.get(3)["ids"][0, 0]
    assert tiny_prepared.raw is None
    assert tiny_prepared.requests().raw(3) == {}
    assert "raw" not in json.loads((tiny_prepared.folder / "manifest.json").read_text())


def stamped(begun_ms, done_ms, **facts) -> Block:
    begun, done = (np.array(column, np.float64) for column in (begun_ms, done_ms))
    started_ns, done_ns = ((1e6 * each).astype(np.int64) for each in (begun, done))
    done_ns[done < 0] = NEVER
    count = len(begun)
    return Block(
        "open", 1.0, np.arange(count, dtype=np.int32), np.ones(count, np.int32), started_ns, started_ns, started_ns,
        done_ns, 1, 1, facts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("begun_ms", "done_ms", "spent_ns", "share"),
    [
        ([0, 10], [4, 14], 2_000_000, 0.25),
        ([0, 0, 0, 10], [4, 4, 4, 14], 2_000_000, 0.25),
        ([0, 10], [4, -1], 2_000_000, 0.25),
        ([0], [-1], 2_000_000, None),
        ([], [], 0, None),
        ([0, 10], [4, 14], None, None),
    ],
)
def test_the_share_is_of_the_calls_that_were_answered(begun_ms, done_ms, spent_ns, share):
    facts = {} if spent_ns is None else {"preparation_ns": spent_ns}
    found = stamped(begun_ms, done_ms, **facts).preparation_share()
    assert np.isnan(found) if share is None else found == pytest.approx(share)


def test_a_preparation_says_how_it_is_made_and_called():
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Preparation,), {"__init__": lambda self, folder: None})(None)
    assert "preparation_share" in FIGURES
