"""`bakeoff why`, as a person runs it on a stored run."""

import json

import numpy as np
import pytest

from bakeoff import api
from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.measure.block import Block
from bakeoff.scenario import from_dict
from bakeoff.store.record import LedgerRow
from bakeoff.store.store import Store

ASKED = {"workload": "ctr-dlrm", "traffic": {"kind": "offline", "batch_size": 100}, "resources": {"cpus": 1}}
FIELD = {"night": {"onnxruntime": 2.0, "torch": 4.0}, "day": {"torch": 4.0}}


def block(service_ms, seed, count=400):
    """One request after the other, as fast as the engine answers."""
    done = np.cumsum(np.random.default_rng(seed).gamma(100, service_ms * 1e4, count)).astype(np.int64)
    started = np.concatenate([[0], done[:-1]])
    numbers, items = np.arange(count, dtype=np.int32), np.full(count, 100, np.int32)
    return Block("closed", None, numbers, items, started, started, started, done, int(done[-1]), int(done[-1]))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished run of two scenarios."""
    place = tmp_path_factory.mktemp("why") / "bakeoff.db"
    with Store.open(place) as opened:
        run = opened.begin("bakeoff run", {"host": "aa"}, {"packages": {}})
        for name, engines in FIELD.items():
            opened.add_scenario(run, name, from_dict({**ASKED, "name": name}).definition(), {"data": "real"})
            for engine, service_ms in engines.items():
                candidate = Candidate(engine, "fp32", Setting("1x1"))
                opened.add_candidate(run, name, candidate)
                row = LedgerRow("serve", "ok", command=f"bakeoff run --candidate {candidate.id}")
                opened.add_row(run, name, candidate.id, row)
                for number in range(4):
                    opened.add_block(run, name, candidate.id, number, 0, block(service_ms, [number, len(engine)]))
        opened.finish(run, "finished")
    return str(place)


@pytest.fixture
def bakeoff(store, command):
    """The command line on that store."""
    return lambda *words, code=0: command(*words, "--store", store, code=code)


def test_a_part_of_the_name_is_enough(bakeoff, store):
    told = bakeoff("why", "torch", "--scenario", "night")
    assert "torch/fp32/1x1 for night: ok" in told
    assert "% dearer (" in told
    assert "Reproduce: bakeoff run --candidate torch/fp32/1x1" in told
    found = json.loads(bakeoff("why", "torch", "latest", "--scenario", "night", "--json"))
    assert (found["best"], len(found["rounds"])) == ("onnxruntime/fp32/1x1", 4)
    assert api.load(store=store).why("torch", "night").loss.value == pytest.approx(found["loss"]["value"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("fp32", "--scenario", "night"), "fp32: 2 candidates of night are named so: "),
        (("tvm", "--scenario", "day"), "tvm: no candidate of day is named so; there are torch/fp32/1x1"),
        (("torch",), "--scenario: missing; run "),
    ],
)
def test_bad_input_is_one_line(bakeoff, words, complaint):
    told = bakeoff("why", *words, code=2)
    assert complaint in told
    assert len(told.splitlines()) == 1
