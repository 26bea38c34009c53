"""What variants lose, through real engines: a small workload of one's own, trained, compressed, built and scored."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from shop_workload import SHOP

from bakeoff.contest import appraisal
from bakeoff.scenario.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(SHOP)
    return folder


def bakeoff(*words, folder, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", *words],
        cwd=folder,
        env=os.environ | {"BAKEOFF_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def rows(workplace):
    return scored("base,prune:0.3,prune:0.8,prune:0.8 > int8", workplace)


def scored(asked, workplace):
    done = bakeoff("quality", "shop:Shop", "--variants", asked, "--json", folder=workplace)
    return {(row["variant"], row["precision"]): row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.engines
def test_the_base_loses_nothing_and_what_is_cut_deeper_loses_more(rows):
    deltas = [rows[name, "fp32"]["quality"]["auc"]["delta"] for name in ("base", "prune:0.3", "prune:0.8")]
    assert abs(deltas[0]) < 1e-6
    assert deltas[0] >= deltas[1] > deltas[2]
    for row in rows.values():
        assert row["outcome"] == "ok"
        for figures in row["quality"].values():
            assert figures["low"] <= figures["delta"] <= figures["high"]
            assert figures["value"] == pytest.approx(figures["base"] + figures["delta"])


@pytest.mark.engines
def test_a_chain_ends_with_the_precision_that_it_names(rows):
    assert ("prune:0.8", "int8-dynamic") in rows
    assert rows["prune:0.8", "int8-dynamic"]["asked"] == "prune:0.8+int8-dynamic"


@pytest.mark.quality
def test_what_was_trained_on_is_held_against_the_base_trained_alike(workplace):
    rows = scored("base,prune:0.8,prune:0.8:finetune=0.5", workplace)
    tuned = rows["prune:0.8:finetune=0.5", "fp32"]
    assert tuned["control"] == "finetune:0.5"
    control, base = rows["finetune:0.5", "fp32"], rows["base", "fp32"]
    beyond = tuned["against_control"]["auc"]
    assert beyond["base"] == pytest.approx(control["quality"]["auc"]["value"])
    assert beyond["delta"] == pytest.approx(tuned["quality"]["auc"]["value"] - control["quality"]["auc"]["value"])
    assert tuned["quality"]["auc"]["delta"] > rows["prune:0.8", "fp32"]["quality"]["auc"]["delta"]
    assert "against_control" not in base


@pytest.mark.engines
def test_a_row_tells_parameters_bytes_and_seconds(rows):
    dense, pruned = rows["base", "fp32"]["model"], rows["prune:0.8", "fp32"]["model"]
    assert dense["parameters"] == pruned["parameters"] == 40 * 4 + 7 * 32 + 32 + 32 + 1
    assert pruned["nonzero"] < dense["nonzero"]
    assert pruned["artifact_bytes"] == dense["artifact_bytes"], "zeros in a dense tensor save nothing"
    assert pruned["artifact_zstd_bytes"] < dense["artifact_zstd_bytes"], "but where they are compressed"
    assert all(math.isfinite(pruned[name]) for name in ("load_s", "build_s", "compress_s"))


@pytest.mark.engines
def test_asked_again_it_answers_from_the_cache(workplace, rows):
    done = bakeoff("quality", "shop:Shop", "--variants", "base,prune:0.3", "--json", folder=workplace)
    assert "scoring" not in done.stderr
    assert "training" not in done.stderr
    again = {row["variant"]: row for row in json.loads(done.stdout)["rows"]}
    assert again["prune:0.3"]["quality"] == rows["prune:0.3", "fp32"]["quality"]


@pytest.mark.quality
def test_seeds_train_other_models_and_judge_them_on_the_same_data(workplace):
    words = ("quality", "shop:Shop", "--variants", "base,prune:0.8", "--seeds", "2", "--json")
    base, pruned = json.loads(bakeoff(*words, folder=workplace).stdout)["rows"]
    auc = pruned["quality"]["auc"]
    assert len(auc["seeds"]) == 2
    assert auc["seeds"][0] == auc["delta"] != auc["seeds"][1]
    assert auc["seed_values"][0] == auc["value"]
    bases = base["quality"]["auc"]
    assert max(map(abs, bases["seeds"])) < 1e-6, "each is its own base"
    assert bases["seed_values"][0] == bases["value"] != bases["seed_values"][1], "yet training anew changes it"
    for value, delta, own_base in zip(auc["seed_values"], auc["seeds"], bases["seed_values"], strict=True):
        assert value - delta == pytest.approx(own_base)


@pytest.mark.engines
def test_a_technique_that_does_not_apply_is_a_row_with_its_reason(workplace):
    words = ("quality", "shop:Shop", "--variants", "base,prune-layers:0.5", "--json")
    _, refused = json.loads(bakeoff(*words, folder=workplace).stdout)["rows"]
    assert refused["outcome"] == "unsupported"
    assert refused["reason"]
    assert refused["quality"] == {}


@pytest.mark.engines
def test_a_technique_whose_environment_cannot_be_made_is_a_row_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "shop.py").write_text(SHOP.replace("width=32", "width=64"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    words = ("quality", "shop:Shop", "--variants", "base,tfmot-qat", "--json")
    base, refused = json.loads(bakeoff(*words, folder=tmp_path).stdout)["rows"]
    assert base["outcome"] == "ok"
    assert refused["outcome"] == "unavailable"
    assert refused["reason"].startswith("its environment cannot be made")
    assert "; it needs a package index once" in refused["reason"]


SHOP_SCENARIO = """
version: 1
workload: shop:Shop
variants: ["prune:0.8 > int8", "prune:0.8"]
traffic: {kind: single_stream, batch_size: 64}
"""


@pytest.mark.engines
def test_a_scenarios_recipes_are_scored_at_the_precisions_that_they_end_with(workplace, rows):
    (workplace / "shop.yaml").write_text(SHOP_SCENARIO)
    found = json.loads(bakeoff("quality", "shop.yaml", "--json", folder=workplace).stdout)["rows"]
    assert [(row["variant"], row["precision"]) for row in found] == [
        ("base", "fp32"),
        ("prune:0.8", "fp32"),
        ("prune:0.8", "int8-dynamic"),
    ]
    for row in found:
        assert row["quality"]["auc"]["value"] == pytest.approx(
            rows[row["variant"], row["precision"]]["quality"]["auc"]["value"]
        )


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("base,prune:0.3,prune:0.3 > int4-weight-only", marks=pytest.mark.quality),
        pytest.param("int4-weight-only", marks=pytest.mark.engines),
    ],
)
def test_a_precision_that_the_backend_lacks_is_a_row_beside_the_others(workplace, asked):
    words = ("quality", "shop:Shop", "--backend", "torch", "--variants", asked, "--json")
    *judged, lacking = json.loads(bakeoff(*words, folder=workplace).stdout)["rows"]
    assert lacking["outcome"] == "unsupported"
    assert lacking["reason"] == "torch has no int4-weight-only here"
    assert [row["outcome"] for row in judged] == ["ok"] * asked.count(",")


def ranker(path, weights):
    """score = sigmoid(x @ weights), as somebody else's trainer wrote it."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s"]), helper.make_node("Sigmoid", ["s"], ["score"])]
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["items", 4])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["items", 1])],
        [numpy_helper.from_array(np.array(weights, np.float32).reshape(4, 1), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


OWN = """
version: 1
variants: {base: base.onnx, student: student.onnx, Worse_1.0: worse.onnx, finetune: finetune.onnx}
requests: {file: requests.npz, label: clicked, group: request}
traffic: {kind: server, qps: 50, batch_size: 10}
sla: {p99: 200ms}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Files of one's own: a base that looks at one feature, a student that knows better, one that knows nothing."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    clicked = (rng.random(2000) < 1 / (1 + np.exp(-(x @ [1, -2, 2, 0])))).astype(np.int64)
    np.savez(folder / "requests.npz", x=x, clicked=clicked, request=np.arange(2000) // 10)
    known = {"base": [1, 0, 0, 0], "student": [1, -2, 2, 0], "worse": [0, 0, 0, 1], "finetune": [1, -1, 0, 0]}
    for name, weights in known.items():
        ranker(folder / f"{name}.onnx", weights)
    (folder / "own.yaml").write_text(OWN)
    return folder


@pytest.mark.engines
def test_ones_own_files_are_scored_by_default_however_far_they_are_from_the_base(own):
    found = json.loads(bakeoff("quality", "own.yaml", "--json", folder=own).stdout)["rows"]
    assert [row["variant"] for row in found] == ["base", "student", "Worse_1.0", "finetune"]
    assert {row["outcome"] for row in found} == {"ok"}, [row["reason"] for row in found]
    base, student, worse, tuned = (row["quality"]["auc"] for row in found)
    assert abs(base["delta"]) < 1e-6
    assert student["low"] > 0, "it is better, and may be"
    assert worse["high"] < 0
    assert base["value"] < tuned["value"] < student["value"]
    assert student["base"] == base["value"]
    for row in found:
        assert row["model"]["artifact_bytes"] > 0
        assert "control" not in row


@pytest.mark.engines
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_goes_before_a_technique_of_its_name_and_may_end_with_a_precision(own, backend):
    asked = "student,finetune,student > int8,Worse_1.0+fp32"
    words = ("quality", "own.yaml", "--backend", backend, "--variants", asked, "--json")
    found = json.loads(bakeoff(*words, folder=own).stdout)["rows"]
    int8 = "ok" if backend == "onnxruntime" else "unsupported"
    assert [(row["variant"], row["precision"], row["outcome"]) for row in found] == [
        ("student", "fp32", "ok"),
        ("finetune", "fp32", "ok"),
        ("student", "int8-dynamic", int8),
        ("Worse_1.0", "fp32", "ok"),
    ]
    if int8 == "ok":
        assert found[2]["quality"]["auc"]["value"] == pytest.approx(found[0]["quality"]["auc"]["value"], abs=0.05)
    else:
        assert found[2]["reason"] == "openvino has no int8-dynamic here"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("student > prune:0.5", "student is a file of yours: only a precision may follow, as in student > int8"),
        ("prune:0.5 > finetune", "finetune is a file of yours"),
        ("prune:0.5+Worse_1.0 > int8", "Worse_1.0 is a file of yours"),
        ("studnet", "--variants: studnet: unknown technique"),
    ],
)
def test_no_technique_works_on_a_file(own, asked, said):
    done = bakeoff("quality", "own.yaml", "--variants", asked, folder=own, code=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--variants", "prune:1.5"), "--variants: prune:1.5: ratio must be from 0 to below 1"),
        (("--variants", "base,,prune:0.5,polish"), "--variants: polish: unknown technique"),
        (("--variants", "int8-magic"), "--variants: int8-magic: unknown technique"),
        (("--seeds", "0"), "--seeds 0: must be 1 or more"),
        (("--backend", "onnxrun"), "did you mean onnxruntime?"),
    ],
)
def test_bad_input_is_one_line(workplace, words, said):
    done = bakeoff("quality", "shop:Shop", *words, folder=workplace, code=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_techniques_are_listed(workplace):
    text = bakeoff("techniques", folder=workplace).stdout
    assert "prune:RATIO" in text
    assert "distill > embed-int8" in text


@pytest.mark.parametrize(
    ("recipe", "trained"),
    [
        ("prune:0.5", None),
        ("finetune:0.25", None),
        ("prune:0.5 > finetune:0.25", "finetune:0.25"),
        ("prune:0.5:finetune=0.25 > lowrank:16:finetune=0.5", "finetune:0.25+finetune:0.5"),
        ("distill:0.5 > prune:0.5:finetune=0.5", "student:0.5+finetune:0.5"),
        ("distill:0.5 > int8", "student:0.5+int8-dynamic"),
    ],
)
def test_the_control_has_all_of_the_training_at_the_same_precision(recipe, trained):
    found = appraisal.control(Recipe.parse(recipe))
    assert (str(found) if found else None) == trained
