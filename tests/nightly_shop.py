"""A project with a pinned model, for the nightly check: real ONNX files, recorded requests, real onnxruntime.

The model's work is matrix products with the identity, which cost time and change nothing: with more of them it is
slower, with noise in its weights it ranks worse, with more table rows it is larger, each without the others.
"""

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
from conftest import TINY_TABLE_ROWS, tiny_onnx, tiny_scores
from onnx import helper, numpy_helper

from bakeoff import api
from bakeoff.decide.drift.answers import SERVICE_TIME, Session
from bakeoff.nightly import pin_files, session
from bakeoff.store.nights import Nights
from bakeoff.store.record import SessionRecord

NAME, CANDIDATE = "shop", "onnxruntime/fp32/1x1"
BENCHMARK = f"{NAME}: {CANDIDATE}"
WIDTH, PRODUCTS = 512, 4
SCENARIO = """
name: shop
workload: ../model.onnx
requests: {file: ../requests.npz, label: clicked, group: request}
traffic: {kind: single_stream, batch_size: 20}
quality: {auc: 0.002}
resources: {cpus: 1}
candidates: {backends: [onnxruntime], precisions: [fp32]}
"""


def ranker(products=PRODUCTS, noise=0.0, rows=TINY_TABLE_ROWS):
    """The tiny ranking model behind so many products of a matrix, its weights changed by so much noise."""
    model = tiny_onnx()
    nodes, weights = (
        list(model.graph.node),
        {each.name: numpy_helper.to_array(each) for each in model.graph.initializer},
    )
    place = next(number for number, node in enumerate(nodes) if "hidden" in node.output)
    wide = [helper.make_node("MatMul", ["features", "widen"], ["wide0"])]
    wide += [helper.make_node("MatMul", [f"wide{n}", "same"], [f"wide{n + 1}"]) for n in range(products)]
    nodes[place].input[0] = "narrowed"
    nodes[place:place] = [*wide, helper.make_node("MatMul", [f"wide{products}", "narrow"], ["narrowed"])]
    eye = np.eye(WIDTH, dtype=np.float32)
    weights |= {"widen": eye[:16], "same": eye, "narrow": eye[:, :16]}
    weights["w1"] = weights["w1"] + np.random.default_rng(1).normal(0, noise, (16, 16)).astype(np.float32)
    weights["table"] = np.resize(weights["table"], (rows, 4))
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(model)
    return model


def requests(rows=2000):
    """Recorded requests of twenty rows with the clicks that the model's scores make likely."""
    rng = np.random.default_rng(3)
    arrays = {
        "dense": rng.normal(size=(rows, 8)).astype(np.float32),
        "ids": rng.integers(0, TINY_TABLE_ROWS, (rows, 2)),
    }
    clicked = (rng.random(rows) < tiny_scores(arrays)).astype(np.int64)
    return {**arrays, "clicked": clicked, "request": np.arange(rows) // 20}


class Shop:
    """The project's files, and the store of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache, self.store = folder / "project", folder / "cache", folder / "b.db"
        self.pin_file = self.folder / "results" / "baseline" / f"{NAME}.json"
        self._kept = folder / "pin.json"

    def write(self) -> None:
        """As it was when it was pinned."""
        (self.folder / "scenarios").mkdir(parents=True, exist_ok=True)
        (self.folder / "scenarios" / "shop.yaml").write_text(SCENARIO)
        self.serve(ranker())
        np.savez(self.folder / "requests.npz", **requests())
        if self._kept.exists():
            shutil.copyfile(self._kept, self.pin_file)

    def serve(self, model) -> None:
        """Another model in the place of the first."""
        onnx.save(model, self.folder / "model.onnx")

    def make(self, monkeypatch) -> None:
        """Write it, and pin its candidate."""
        self.write()
        subprocess.run(["git", "init", "-q"], cwd=self.folder, check=True)
        monkeypatch.chdir(self.folder)
        monkeypatch.setenv("BAKEOFF_CACHE", str(self.cache))
        monkeypatch.setattr(session, "BLOCKS", session.FEWEST_BLOCKS)
        api.pin("scenarios/shop.yaml", reason="the first", candidates=[CANDIDATE])
        shutil.copyfile(self.pin_file, self._kept)

    def pin(self):
        """The pin as it is now."""
        return pin_files.read(self.pin_file)

    def edit(self, change) -> None:
        """Change the pin's file by a function of its values."""
        values = json.loads(self.pin_file.read_text())
        change(values)
        self.pin_file.write_text(json.dumps(values))

    def remember(self, nights=6, spread=0.01) -> None:
        """Nights of which the store knows how far sessions differ."""
        rng = np.random.default_rng(5)
        with Nights.open(self.store) as store:
            for _ in range(nights):
                night = store.begin_night("bakeoff check", {NAME: "a"}, {}, {})
                for number, change in enumerate(rng.normal(0, spread, 3), 1):
                    record = SessionRecord(NAME, CANDIDATE, "screen", number, {SERVICE_TIME: float(change)})
                    store.add_session(night, record)
                store.finish_night(night, "finished")

    def nights(self):
        """The ids of the store's nights, the latest first."""
        with Nights.open(self.store, create=False) as store:
            return store.nights()

    def sessions(self):
        """The candidate's sessions by night."""
        with Nights.open(self.store, create=False) as store:
            return store.sessions(NAME, CANDIDATE)

    def last_night(self):
        """The latest night of the store, whole."""
        with Nights.open(self.store, create=False) as store:
            return store.load_night(store.nights()[0])


def played(change=0.0, spread=0.005):
    """Sessions of a known change, for tests of what goes on around them."""
    rng = np.random.default_rng(7)

    def play(sides, stage, number):
        now = 1e-3 * math.exp(change + rng.normal(0, spread))
        if sides.baseline is None:
            return Session(stage, number, {}, {}, {SERVICE_TIME: now})
        return Session(stage, number, {SERVICE_TIME: math.log(now / 1e-3)}, {SERVICE_TIME: 1e-3}, {SERVICE_TIME: now})

    return play
