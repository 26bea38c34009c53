"""What variants lose, through real engines: a small workload of one's own, trained, compressed, built and scored."""

import json
import math
import os
import subprocess
import sys

import pytest
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
    asked = "base,prune:0.3,prune:0.8,prune:0.8:finetune=0.5,prune:0.8 > int8"
    done = bakeoff("quality", "shop:Shop", "--variants", asked, "--json", folder=workplace)
    return {(row["variant"], row["precision"]): row for row in json.loads(done.stdout)["rows"]}


def test_the_base_loses_nothing_and_what_is_cut_deeper_loses_more(rows):
    deltas = [rows[name, "fp32"]["quality"]["auc"]["delta"] for name in ("base", "prune:0.3", "prune:0.8")]
    assert abs(deltas[0]) < 1e-6
    assert deltas[0] >= deltas[1] > deltas[2]
    for row in rows.values():
        assert row["outcome"] == "ok"
        for figures in row["quality"].values():
            assert figures["low"] <= figures["delta"] <= figures["high"]
            assert figures["value"] == pytest.approx(figures["base"] + figures["delta"])


def test_a_chain_ends_with_the_precision_that_it_names(rows):
    assert ("prune:0.8", "int8-dynamic") in rows
    assert rows["prune:0.8", "int8-dynamic"]["asked"] == "prune:0.8+int8-dynamic"


def test_what_was_trained_on_is_held_against_the_base_trained_alike(rows):
    tuned = rows["prune:0.8:finetune=0.5", "fp32"]
    assert tuned["control"] == "finetune:0.5"
    control, base = rows["finetune:0.5", "fp32"], rows["base", "fp32"]
    beyond = tuned["against_control"]["auc"]
    assert beyond["base"] == pytest.approx(control["quality"]["auc"]["value"])
    assert beyond["delta"] == pytest.approx(tuned["quality"]["auc"]["value"] - control["quality"]["auc"]["value"])
    assert tuned["quality"]["auc"]["delta"] > rows["prune:0.8", "fp32"]["quality"]["auc"]["delta"]
    assert "against_control" not in base


def test_a_row_tells_parameters_bytes_and_seconds(rows):
    dense, pruned = rows["base", "fp32"]["model"], rows["prune:0.8", "fp32"]["model"]
    assert dense["parameters"] == pruned["parameters"] == 40 * 4 + 7 * 32 + 32 + 32 + 1
    assert pruned["nonzero"] < dense["nonzero"]
    assert pruned["artifact_bytes"] == dense["artifact_bytes"], "zeros in a dense tensor save nothing"
    assert pruned["artifact_zstd_bytes"] < dense["artifact_zstd_bytes"], "but where they are compressed"
    assert all(math.isfinite(pruned[name]) for name in ("load_s", "build_s", "compress_s"))


def test_asked_again_it_answers_from_the_cache(workplace, rows):
    done = bakeoff("quality", "shop:Shop", "--variants", "base,prune:0.3", "--json", folder=workplace)
    assert "scoring" not in done.stderr
    assert "training" not in done.stderr
    again = {row["variant"]: row for row in json.loads(done.stdout)["rows"]}
    assert again["prune:0.3"]["quality"] == rows["prune:0.3", "fp32"]["quality"]


@pytest.mark.quality
def test_seeds_train_other_models_and_judge_them_on_the_same_data(workplace):
    words = ("quality", "shop:Shop", "--variants", "base,prune:0.8", "--seeds", "2", "--json")
    _, pruned = json.loads(bakeoff(*words, folder=workplace).stdout)["rows"]
    auc = pruned["quality"]["auc"]
    assert len(auc["seeds"]) == 2
    assert auc["seeds"][0] == auc["delta"] != auc["seeds"][1]


def test_a_technique_that_does_not_apply_is_a_row_with_its_reason(workplace):
    words = ("quality", "shop:Shop", "--variants", "base,prune-layers:0.5", "--json")
    _, refused = json.loads(bakeoff(*words, folder=workplace).stdout)["rows"]
    assert refused["outcome"] == "unsupported"
    assert refused["reason"]
    assert refused["quality"] == {}


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
