"""What every technique has: parameters that are checked before anything is trained, a usage, a place in the list."""

from pathlib import Path

import pytest
import torch

from bakeoff import variants
from bakeoff.backends import Unsupported
from bakeoff.errors import UserError
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques
from bakeoff.variants.prune import Prune
from bakeoff.workloads import recipes


def test_every_technique_is_listed_with_its_usage_and_what_it_does():
    listed = dict(variants.listed())
    assert len(listed) == len(variants.registered())
    assert all(listed.values())
    assert Prune.usage() in listed
    assert Prune.usage().startswith("prune:RATIO")


def test_every_file_with_a_technique_is_registered():
    folder = Path(variants.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "(Technique)" in path.read_text(encoding="utf-8")}
    assert files == {point.module.rpartition(".")[2] for point in variants.registered().values()}


def test_parameters_come_by_place_and_by_name():
    assert variants.techniques(Recipe.parse("prune:0.5:finetune=0.25")) == (Prune(0.5, 0.25),)
    assert variants.techniques(Recipe.parse("prune:ratio=0.3")) == (Prune(0.3),)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("prune:1.5", "prune:1.5: ratio must be from 0 to below 1, not 1.5"),
        ("prune:-0.1", "prune:-0.1: ratio must be from 0 to below 1, not -0.1"),
        ("prune:0.5:finetune=-1", "finetune must be"),
        ("lowrank:16 > int9", "int9: unknown technique; did you mean int8"),
        ("lowrank:16 > quarter", "there are compose-embed, .*; and as the last step the precisions fp32, tf32, bf16"),
        ("prune", "prune needs its ratio, as in prune:0.5"),
        ("prune:x", "ratio must be a number, not x"),
        ("prune:0.5:speed=2", "prune has no parameter speed; it takes ratio"),
        ("pruen:0.5", "pruen: unknown technique; did you mean prune?"),
    ],
)
def test_bad_parameters_are_one_clear_line(recipe, said):
    with pytest.raises(ValueError, match=said):
        variants.techniques(Recipe.parse(recipe))


def test_the_line_says_where_it_was_asked_for():
    with pytest.raises(UserError, match=r"shop.yaml: variants: prune:2: ratio must be from 0 to below 1"):
        recipes.check(["prune:2"], "shop.yaml: variants")


def test_a_folders_name_is_safe_and_differs_by_recipe():
    names = {recipes.made_name(each) for each in ("prune:0.5", "prune:0.51", "prune:0.5:finetune=0.1")}
    assert len(names) == 3
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-") for name in names)


@pytest.mark.parametrize("recipe", ["embed-int8", "embed-int4", "lowrank-embed:8", "share:16", "lowrank:8"])
def test_a_weight_that_two_layers_hold_is_left_to_both(recipe) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = torch.nn.Embedding(500, 64), torch.nn.Linear(64, 500, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(ids))

    (technique,) = techniques(Recipe.parse(recipe))
    with pytest.raises(Unsupported):
        technique.apply(Tied().eval(), Bench(examples=[(torch.arange(8),)]))


@pytest.mark.parametrize("recipe", ["embed-int8 > student:0.5", "prune:0.5 > distill"])
def test_what_makes_a_model_of_its_own_comes_first(recipe) -> None:
    with pytest.raises(ValueError, match="makes a model of its own, so it comes first"):
        techniques(Recipe.parse(recipe))
