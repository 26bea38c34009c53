"""Whose fault it is: the search over played sessions whose truth is known, and an engine that really got slower."""

import json
import math
import os
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bakeoff.contest.budget import Budget
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift.answers import SERVICE_TIME, Answer, Figure, Session
from bakeoff.measure.engine_room import StageFailed
from bakeoff.nightly import bisecting
from bakeoff.nightly.baseline import Pinned, model_digest
from bakeoff.nightly.bisecting import KNOBS, MODEL, OutOfTime
from bakeoff.nightly.cases import Found
from bakeoff.nightly.night import Case
from bakeoff.nightly.session import BASELINE, NOW, SideFailed

NAMES = [f"p{number}" for number in range(7)]
SLOWER = 0.08
"""How much slower what is here now was found to be: a log change."""


def slow_with(guilty, tried, unable=()):
    def slow(parts):
        tried.append(set(parts))
        return set(guilty) <= set(parts) and not any(set(each) <= set(parts) for each in unable)

    return slow


@pytest.mark.parametrize("guilty", NAMES)
def test_one_of_many_is_found_by_halves_wherever_it_stands(guilty):
    tried = []
    assert bisecting.search(NAMES, slow_with({guilty}, tried)) == (guilty,)
    assert len(tried) <= 2 * math.ceil(math.log2(len(NAMES)))


@pytest.mark.parametrize("one", range(7))
@pytest.mark.parametrize("other", range(7))
def test_two_that_are_slow_together_are_both_found(one, other):
    guilty = {NAMES[one], NAMES[other]}
    tried = []
    assert set(bisecting.search(NAMES, slow_with(guilty, tried))) == guilty
    assert set(NAMES) in tried or len(guilty) == 1 or any(guilty <= each < set(NAMES) for each in tried)


def test_three_together_as_well():
    assert set(bisecting.search(NAMES, slow_with({"p0", "p3", "p6"}, []))) == {"p0", "p3", "p6"}


def test_where_not_even_all_are_slow_none_is_blamed():
    assert bisecting.search(NAMES, slow_with({"elsewhere"}, [])) == ()


def test_what_does_not_run_apart_is_found_together():
    """An old engine that needs the old numpy: neither runs without the other."""

    def slow(parts):
        return {"engine", "numpy"} <= set(parts)

    assert bisecting.search(["engine", "gone", "more", "numpy"], slow) == ("engine", "numpy")


def test_out_of_time_it_says_what_is_left():
    tried = []

    def slow(parts):
        if len(tried) == 2:
            raise OutOfTime
        return slow_with({"p0"}, tried)(parts)

    with pytest.raises(OutOfTime) as ended:
        bisecting.search(NAMES, slow)
    assert ended.value.parts == NAMES[:2]


def test_a_replay_is_as_long_as_the_noise_asks_for():
    dice = np.random.default_rng(0)
    assert bisecting.needed([0.5 + 0.001 * each for each in range(8)], 0.5) == bisecting.FEWEST
    assert bisecting.needed(dice.normal(0.05, 0.1, 8), 0.05) == bisecting.MOST
    assert bisecting.needed([0.1], 0.1) == bisecting.MOST
    wrong = 0
    for _ in range(2000):
        sessions = bisecting.needed(dice.normal(0.08, 0.02, 8), 0.08)
        wrong += np.median(dice.normal(0.08, 0.02, sessions)) < bisecting.ENOUGH * 0.08
    assert wrong / 2000 <= 0.02


class Truth:
    """Plays replays whose truth is known: `guilty` parts bring SLOWER when all are in, and `unable` ones do not run."""

    def __init__(self, monkeypatch, guilty, unable=(), noise=0.005, changed=False, prepared=None, known=True):
        self.guilty, self.unable, self.noise, self.dice = set(guilty), set(unable), noise, np.random.default_rng(1)
        self.played, self.replayed = 0, []
        monkeypatch.setattr(bisecting._Replays, "_sides", self.sides)
        monkeypatch.setattr(bisecting, "play", self.play)
        self.question = prepared and SimpleNamespace(prepared=prepared)
        self.entry = prepared and SimpleNamespace(candidate=SimpleNamespace(setting=None))
        model = prepared and model_digest(prepared)
        self.pin = SimpleNamespace(name="shop", workload=SimpleNamespace(model="another" if changed else model))
        self.candidate = SimpleNamespace(
            id="onnxruntime/fp32/1x1", backend="onnxruntime", variant="base", model=None, has_knobs=lambda _: known
        )

    def sides(self, parts):
        self.replayed.append(set(parts))
        if "impossible" in parts:
            raise StageFailed("probe", "unavailable", "its environment cannot be made: no such version", "look again")
        return set(parts)

    def play(self, parts, _stage, number):
        self.played += 1
        if self.unable & parts:
            raise SideFailed(
                BASELINE if "baseline" in self.unable else NOW, StageFailed("load", "crashed", "no such API")
            )
        change = SLOWER * (self.guilty <= parts) + self.dice.normal(0.0, self.noise)
        return Session("confirm", number, {SERVICE_TIME: change})

    def culprit(self, names, budget=None, status="regression"):
        candidate = self.candidate
        differs = tuple((name, "1.0", "2.0") for name in names)
        side = Pinned(candidate, None, None, None, (), differs)
        found = Found(Case(None), self.pin, candidate, side, self.question, self.entry)
        confirmed = [SLOWER + each for each in self.dice.normal(0.0, self.noise, 8)]
        sessions = tuple(Session("confirm", number, {SERVICE_TIME: each}) for number, each in enumerate(confirmed, 1))
        figure = Figure(SERVICE_TIME, status, math.expm1(SLOWER), gate=0.02)
        answer = Answer("shop", candidate.id, "regression", (figure,), sessions=sessions, seconds=40.0)
        return bisecting.culprit(found, answer, budget or Budget(None), Silent())


def test_the_package_is_named_with_both_versions(monkeypatch):
    truth = Truth(monkeypatch, {"numpy"})
    assert truth.culprit(["coloredlogs", "numpy", "onnxruntime", "protobuf"]) == "numpy 1.0 -> 2.0"
    assert truth.replayed[0] == {"onnxruntime", "coloredlogs"}, "the engine's own package is in the first half"
    assert truth.played == bisecting.FEWEST * len(truth.replayed)


def test_the_only_difference_is_replayed_before_it_is_blamed(monkeypatch):
    truth = Truth(monkeypatch, {"numpy"})
    assert truth.culprit(["numpy"]) == "numpy 1.0 -> 2.0"
    assert truth.replayed == [{"numpy"}]
    innocent = Truth(monkeypatch, {"weather"})
    assert innocent.culprit(["numpy"]) == "not found: the baseline is not as slow with numpy 1.0 -> 2.0"
    impossible = Truth(monkeypatch, {"impossible"}).culprit(["impossible"])
    assert impossible.startswith("not found: impossible cannot be replayed: its environment cannot be made: ")
    budget = Budget(1.0, lambda: 0.0)
    budget.start()
    assert truth.culprit(["numpy"], budget) == "not found: the budget ended with numpy 1.0 -> 2.0 left"


def test_the_model_can_be_the_one(monkeypatch, tiny_prepared):
    truth = Truth(monkeypatch, {MODEL}, changed=True, prepared=tiny_prepared)
    assert truth.culprit(["numpy", "onnxruntime"]) == "the model"
    truth = Truth(monkeypatch, {"numpy"}, prepared=tiny_prepared)
    assert truth.culprit(["numpy"]) == "numpy 1.0 -> 2.0", "the model is the same"
    assert truth.replayed == [{"numpy"}]


def test_the_knobs_can_be_the_ones(monkeypatch, tiny_prepared):
    truth = Truth(monkeypatch, {KNOBS}, prepared=tiny_prepared, known=False)
    assert truth.culprit(["numpy", "onnxruntime"]) == "the knobs of its setting"


def test_an_environment_that_cannot_be_made_is_told_and_the_rest_searched(monkeypatch):
    truth = Truth(monkeypatch, {"numpy"})
    assert truth.culprit(["impossible", "numpy", "onnxruntime", "protobuf"]) == "numpy 1.0 -> 2.0"
    told = Truth(monkeypatch, {"impossible"}).culprit(["impossible", "numpy"])
    assert told.startswith("not found: the baseline is not as slow with impossible 1.0 -> 2.0, numpy 1.0 -> 2.0; ")
    assert told.endswith("impossible, numpy cannot be replayed: its environment cannot be made: no such version")


def test_what_does_not_start_in_the_mixture_counts_as_not_replayed(monkeypatch):
    told = Truth(monkeypatch, {"numpy"}, unable={"protobuf"}).culprit(["numpy", "onnxruntime", "protobuf"])
    assert told == "numpy 1.0 -> 2.0"
    told = Truth(monkeypatch, {"numpy"}, unable={"protobuf", "baseline"}).culprit(["numpy", "protobuf"])
    assert told == "numpy 1.0 -> 2.0"
    told = Truth(monkeypatch, set(), unable={"numpy", "baseline"}).culprit(["numpy", "protobuf"])
    assert told == "not found: baseline: load: crashed: no such API"


def test_the_budget_ends_the_search(monkeypatch):
    truth = Truth(monkeypatch, {"onnxruntime"})
    budget = Budget(29.0, lambda: 5.0 * truth.played)
    budget.start()
    told = truth.culprit(["numpy", "onnxruntime", "protobuf", "sympy"], budget)
    assert told == "not found: the budget ended with onnxruntime 1.0 -> 2.0, numpy 1.0 -> 2.0 left"
    assert 5.0 * truth.played <= 29.0


def test_a_build_that_takes_what_is_left_of_the_budget_ends_the_search(monkeypatch):
    truth = Truth(monkeypatch, {"onnxruntime"})
    spent = iter([0.0, 0.0, 900.0, 900.0])
    budget = Budget(900.0, lambda: next(spent))
    budget.start()
    told = truth.culprit(["impossible", "numpy"], budget)
    assert told == "not found: the budget ended with impossible 1.0 -> 2.0, numpy 1.0 -> 2.0 left"
    assert truth.replayed == [{"impossible"}]


def test_a_slowdown_that_lies_elsewhere_is_not_blamed_on_a_package(monkeypatch):
    truth = Truth(monkeypatch, {"weather"})
    assert truth.culprit(["numpy", "onnxruntime"]).startswith("not found: the baseline is not as slow with onnxruntime")
    assert truth.replayed[-1] == {"numpy", "onnxruntime"}


def test_without_a_regression_of_the_service_time_there_is_nothing_to_search(monkeypatch):
    truth = Truth(monkeypatch, {"numpy"})
    told = truth.culprit(["numpy", "onnxruntime"], status="ok")
    assert told == "not found: only a longer service time is replayed"
    assert (
        truth.culprit([])
        == "not found: nothing differs that could be replayed: the same packages, the same model, the same knobs"
    )
    assert truth.played == 0


OLDER = {"onnxruntime": "1.20.1", "numpy": "2.1.3"}
"""A downgrade whose slowdown is real: Where takes several times as long there, Erf and LayerNormalization longer."""
SERVING = "onnxruntime@serving/fp32/1x1"
HERE = "onnxruntime/fp32/1x1"
ASKED = """
name: shop
workload: ../model.onnx
traffic: {kind: single_stream, batch_size: 200}
resources: {cpus: 1}
candidates:
  backends: [onnxruntime]
  precisions: [fp32]
  environments: {onnxruntime@serving: {python: ../serving/bin/python}}
"""
WIDTH = 256


def masked_ranker():
    """score = sigmoid(w gelu(layernorm(x where it is known, else 0))), for any number of items."""
    rng, one = np.random.default_rng(0), np.float32(1)
    weights = {
        "zero": np.float32(0), "root": np.sqrt(2 * one), "one": one, "half": one / 2, "last": np.array([1], np.int64),
        "gain": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32),
        "w": rng.normal(0, 0.06, (WIDTH, 1)).astype(np.float32),
    }  # fmt: skip
    wired = [
        ("Greater", "x zero", "known"), ("Where", "known x zero", "filled"),
        ("LayerNormalization", "filled gain bias", "norm"),
        ("Div", "norm root", "scaled"), ("Erf", "scaled", "erf"), ("Add", "erf one", "raised"),
        ("Mul", "norm raised", "product"), ("Mul", "product half", "gelu"),
        ("MatMul", "gelu w", "logit"), ("Sigmoid", "logit", "probability"), ("Squeeze", "probability last", "score"),
    ]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(kind, inputs.split(), [output]) for kind, inputs, output in wired],
        "ranker",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["items", WIDTH])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["items"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A project that serves its model from an environment of its own, with what is installed here."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    project = tmp_path / "shop"
    (project / "scenarios").mkdir(parents=True)
    (project / "scenarios" / "shop.yaml").write_text(ASKED)
    onnx.save(masked_ranker(), project / "model.onnx")
    uv("venv", "--python", sys.executable, str(project / "serving"))
    serve(project, {name: version(name) for name in ("onnxruntime", "numpy", "onnx")})
    return project


def uv(*words):
    subprocess.run([sys.executable, "-m", "uv", "--quiet", *words], check=True, timeout=300)


def serve(project, versions):
    """Install them into the environment that serves."""
    asked = [f"{name}=={each}" for name, each in versions.items()]
    uv("pip", "install", "--python", str(project / "serving" / "bin" / "python"), *asked)


def bakeoff(project, *words, code=0):
    """The command line, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words],
        cwd=project, env=os.environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.engines
@pytest.mark.alone
@pytest.mark.slow
def test_an_engine_downgrade_that_is_really_slower_is_found_and_bisected_to_that_package(shop):
    bakeoff(shop, "pin", "scenarios/shop.yaml", "--candidate", SERVING, "--candidate", HERE, "--reason", "as it serves")
    serve(shop, OLDER)
    night = json.loads(bakeoff(shop, "check", "--bisect", "--json", code=1))
    answers = {each["candidate"]: each for each in night["answers"]}
    assert answers[SERVING]["status"] == "regression"
    assert answers[SERVING]["culprit"] == f"onnxruntime {version('onnxruntime')} -> {OLDER['onnxruntime']}"
    assert answers[HERE]["status"] != "regression", "what is installed here is as it was pinned"
    assert not answers[HERE]["culprit"]
