"""`bakeoff join` and `bakeoff compare`, as a person runs them on stores of two hosts."""

import json

import numpy as np
import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.scenario import from_dict
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

ASKED = {"name": "night", "workload": "ctr-dlrm", "traffic": {"kind": "offline", "batch_size": 100}}


@pytest.fixture
def bakeoff(stores, monkeypatch, command):
    """The command line in the folder of the stores."""
    monkeypatch.chdir(stores[0])
    return command


def block(service_ms, seed, count=400):
    """One request after the other, as fast as the engine answers."""
    done = np.cumsum(np.random.default_rng(seed).gamma(100, service_ms * 1e4, count)).astype(np.int64)
    started = np.concatenate([[0], done[:-1]])
    numbers, items = np.arange(count, dtype=np.int32), np.full(count, 100, np.int32)
    return Block("closed", None, numbers, items, started, started, started, done, int(done[-1]), int(done[-1]))


def write_run(place, host, engines, price, device="cpu"):
    """A finished run in a store: engines by name with their service times in ms."""
    asked = {**ASKED, "price": price, "resources": {"device": device, "cpus": 2}}
    with Store.open(place) as store:
        run = store.begin("bakeoff run night.yaml", {"host": host, "cpu": f"CPU of {host}"}, {"packages": {}})
        store.add_scenario(run, "night", from_dict(asked).definition(), {"name": "ctr-dlrm", "data": "real"})
        for name, service_ms in engines.items():
            candidate = Candidate(name, "fp32", Setting("1x1"), device=device)
            store.add_candidate(run, "night", candidate)
            store.add_row(run, "night", candidate.id, LedgerRow("serve", "ok"))
            for number in range(4):
                store.add_block(
                    run, "night", candidate.id, number, 0, block(service_ms, [number, *map(ord, name + host)])
                )
        store.finish(run, "finished")
    return run


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """cpu.db with two runs of one host, gpu.db with one of another; and the ids of the three."""
    folder = tmp_path_factory.mktemp("stores")
    core, card = "0.04 USD/core-hour", "2 USD/gpu-hour"
    ids = [
        write_run(folder / "cpu.db", "aa", {"onnxruntime": 2.0, "torch": 4.0}, core),
        write_run(folder / "cpu.db", "aa", {"onnxruntime": 8.0, "torch": 4.0}, core),
        write_run(folder / "gpu.db", "bb", {"tensorrt": 0.1}, card, "cuda"),
    ]
    return folder, ids


def test_hosts_of_two_stores_side_by_side(bakeoff, stores):
    _, ids = stores
    runs = (f"cpu=cpu.db::{ids[0]}", "g6=gpu.db")
    found = json.loads(bakeoff("join", *runs, "--json"))
    (night,) = found["scenarios"]
    assert [row["host"] for row in night["rows"]] == ["cpu", "g6", "cpu"]
    assert night["cheapest"]["judged"]["candidate"] == "onnxruntime/fp32/1x1"
    (level,) = night["break_evens"]
    assert level["price_low"] < level["price"] < level["price_high"]
    assert level["price"] == pytest.approx(1.6, rel=0.05)
    told = bakeoff("join", *runs)
    assert "g6 would be cheaper than cpu below 1.6" in told


def test_a_price_given_now_turns_the_order_round(bakeoff, stores):
    _, ids = stores
    words = ("join", f"cpu=cpu.db::{ids[0]}", "g6=gpu.db", "--price", "g6=0.5 USD/gpu-hour", "--markdown")
    told = bakeoff(*words)
    assert "**Cheapest for night is tensorrt fp32 on cuda \\(1x1\\) on g6: " in told
    assert "| 1 | g6 | tensorrt/fp32/1x1/cuda |" in told


def test_what_changed_since_last_time(bakeoff, stores):
    _, ids = stores
    words = ("compare", ids[0], "latest", "--store", "cpu.db")
    told = bakeoff(*words)
    assert "torch/fp32/1x1 is the choice now: onnxruntime/fp32/1x1, the choice before, would do, but is" in told
    found = json.loads(bakeoff(*words, "--json"))
    figures = {(each["candidate"], each["name"]): each["judged"] for each in found["scenarios"][0]["figures"]}
    assert figures["onnxruntime/fp32/1x1", "cost"] == "changed"
    assert figures["torch/fp32/1x1", "cost"] == "within noise"
    assert "| torch/fp32/1x1 |" in bakeoff(*words, "--markdown")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("join", "cpu.db"), "join: takes two runs or more"),
        (("join", "cpu.db", "nowhere.db::latest"), "nowhere.db: does not exist"),
        (("join", "cpu.db", "gpu.db", "--price", "1 USD/core-hour"), "must name the host"),
        (("join", "cpu.db", "gpu.db", "--json", "--markdown"), "one of the two"),
        (("compare", "cpu.db", "cpu.db"), "is one run"),
    ],
)
def test_bad_input_is_one_line(bakeoff, words, complaint):
    told = bakeoff(*words, code=2)
    assert complaint in told
    assert len(told.splitlines()) == 1
