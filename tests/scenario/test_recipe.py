"""How variants are asked for: the grammar of recipes, and what a scenario makes of them."""

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import from_dict, restore
from bakeoff.scenario.recipe import Recipe, Step

ASKED = {"workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}}


@pytest.mark.parametrize(
    ("text", "name", "precision"),
    [
        ("base", "base", None),
        ("prune:0.5", "prune:0.5", None),
        ("lowrank:16:finetune=0.25", "lowrank:16:finetune=0.25", None),
        ("distill > int8", "distill", "int8-dynamic"),
        ("distill:0.5+embed-int8 > bf16", "distill:0.5+embed-int8", "bf16"),
        ("int8-static", "base", "int8-static"),
    ],
)
def test_a_recipe_has_a_name_and_may_pin_a_precision(text, name, precision):
    recipe = Recipe.parse(text)
    assert (recipe.name, recipe.precision) == (name, precision)
    assert Recipe.parse(str(recipe)) == recipe


def test_a_step_holds_its_parameters_as_they_were_written():
    assert Step.parse("lowrank:16:finetune=0.25") == Step("lowrank", "16", {"finetune": "0.25"})
    assert Step.parse("feed-sasrec:data=movielens-100k").options == {"data": "movielens-100k"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Prune:1", "must begin with a name"),
        ("prune:", "must be a value, or key=value"),
        ("prune:0.5:0.6", "must be a value, or key=value"),
        ("", "must begin with a name"),
        ("int8 > prune:0.5", "int8 is a precision, which an engine gives: it comes last"),
    ],
)
def test_what_is_no_recipe_is_told(text, said):
    with pytest.raises(ValueError, match=said):
        Recipe.parse(text)


def test_a_scenario_lists_recipes_and_files_of_its_own(tmp_path):
    (tmp_path / "student.onnx").write_bytes(b"onnx")
    listed = ["base", "prune:0.5", "distill > int8", "distill > bf16", {"student": "student.onnx"}]
    scenario = from_dict(ASKED | {"variants": listed}, folder=tmp_path)
    assert scenario.recipes == {"prune:0.5": frozenset({None}), "distill": frozenset({"int8-dynamic", "bf16"})}
    assert scenario.own_variants == {"student": tmp_path / "student.onnx"}
    assert restore(scenario.definition()).recipes == scenario.recipes


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        (["int8"], "variants.int8-dynamic: int8-dynamic is a precision; name it in candidates.precisions"),
        ({"small": "prune:0.5"}, "variants.small: 'prune:0.5': must be a model file; a technique has no other name"),
        (["prune:0.5", 3], "must hold recipes such as prune:0.5"),
        (["Prune"], "must begin with a name"),
        ("prune:0.5", r"variants: 'prune:0.5': must be a list, as in variants: \[prune-neurons:0.5, lowrank:16\]"),
    ],
)
def test_variants_that_cannot_be_meant_are_told(variants, said):
    with pytest.raises(UserError, match=said):
        from_dict(ASKED | {"variants": variants})


def test_a_built_in_workload_takes_parameters():
    asked = ASKED | {"workload": "wide-ctr-scale:rows=1000:dim=8"}
    assert from_dict(asked).workload == "wide-ctr-scale:rows=1000:dim=8"
