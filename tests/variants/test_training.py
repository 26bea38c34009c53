import copy

import pytest
import torch
from torch import nn

from bakeoff.backends import Unsupported
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques


class Trained:
    """A bench that notes what it is asked to train, and trains it: it adds one to a weight."""

    def __init__(self) -> None:
        self.asked: list[tuple[nn.Module, float, nn.Module | None]] = []
        self.bench = Bench(examples=[], train=self, student=lambda size: nn.Linear(4, round(4 * size)))

    def __call__(self, module: nn.Module, share: float, teacher: nn.Module | None = None) -> None:
        self.asked.append((module.train(), share, teacher))
        with torch.no_grad():
            next(module.parameters()).add_(1)


@pytest.fixture
def trained() -> Trained:
    return Trained()


def apply(recipe: str, module: nn.Module, bench: Bench) -> nn.Module:
    (technique,) = techniques(Recipe.parse(recipe))
    return technique.apply(module, bench)


def test_distillation_teaches_the_student_with_the_base(trained) -> None:
    base = nn.Linear(4, 4)
    student = apply("distill:0.25:share=2", base, trained.bench)
    assert [(module is student, share, teacher is base) for module, share, teacher in trained.asked] == [
        (True, 2, True)
    ]
    assert student.out_features == 1
    assert not student.training
    assert not base.training


def test_a_student_has_no_teacher(trained) -> None:
    student = apply("student", nn.Linear(4, 4), trained.bench)
    assert trained.asked == [(student, 1, None)]
    assert student.out_features == 2


def test_finetuning_trains_the_model_itself(trained) -> None:
    base = nn.Linear(4, 4)
    before = copy.deepcopy(base.weight)
    assert apply("finetune:0.25", base, trained.bench) is base
    assert trained.asked == [(base, 0.25, None)]
    assert not base.weight.equal(before)


@pytest.mark.parametrize(
    "recipe", ["lowrank:2", "lowrank-embed:2", "share:4", "hash-embed:0.5", "compose-embed:0.5", "tt-embed:2"]
)
def test_what_is_finetuned_is_the_smaller_model(trained, recipe) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(1500, 8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

    plain = apply(recipe, build(), trained.bench)
    assert trained.asked == []
    tuned = apply(f"{recipe}:finetune=0.5", build(), trained.bench)
    assert trained.asked == [(tuned, 0.5, None)]
    assert not tuned.training
    assert [weights.shape for weights in tuned.parameters()] == [weights.shape for weights in plain.parameters()]


@pytest.mark.parametrize(
    ("recipe", "control"),
    [
        ("lowrank:4", ""),
        ("lowrank:4:finetune=0.25", "finetune:0.25"),
        ("distill", "student:0.5"),
        ("distill:0.25:share=2", "student:0.25:share=2"),
        ("student:0.25", ""),
        ("finetune:0.25", ""),
        ("user-once", ""),
    ],
)
def test_what_is_trained_has_a_control(recipe, control) -> None:
    (technique,) = techniques(Recipe.parse(recipe))
    assert technique.control == control
    techniques(Recipe.parse(control or "base"))


@pytest.mark.parametrize("recipe", ["distill", "student", "finetune:1", "user-once"])
def test_a_workload_without_training_is_told_so(recipe) -> None:
    with pytest.raises(Unsupported, match="this workload"):
        apply(recipe, nn.Linear(4, 4), Bench(examples=[]))


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("lowrank", "lowrank needs its rank, as in lowrank:16"),
        ("lowrank:0", "rank must be a whole number from 1 on, or a share of the energy below 1, not 0"),
        ("lowrank:1.5", "rank must be a whole number from 1 on, or a share of the energy below 1, not 1.5"),
        ("lowrank:nan", "rank must be a whole number from 1 on, or a share of the energy below 1, not nan"),
        ("lowrank-embed:inf", "rank must be a whole number from 1 on, or a share of the energy below 1, not inf"),
        ("lowrank:4:error=big", "error must be outputs or weights, not big"),
        ("lowrank:4:finetune=11", "finetune must be from 0 to 10 times the usual training, not 11"),
        ("share:1", "values must be a whole number from 2 to 256, which a byte can tell, not 1"),
        ("share:300", "values must be a whole number from 2 to 256, which a byte can tell, not 300"),
        ("share:1.5", "values must be a whole number, not 1.5"),
        ("hash-embed:1", "rows, a share of each table's, must be above 0 to below 1, not 1"),
        ("compose-embed:0", "rows, a share of each table's, must be above 0 to below 1, not 0"),
        ("tt-embed:0", "rank must be a whole number from 1 on, not 0"),
        ("distill:1", "size must be above 0 to below 1, not 1"),
        ("distill:0.5:share=0", "share must be above 0 and up to 10 times the usual training, not 0"),
        ("student:0", "size must be above 0 to below 1, not 0"),
        ("finetune", "finetune needs its share, as in finetune:0.25"),
        ("finetune:20", "share must be above 0 and up to 10 times the usual training, not 20"),
        ("user-once:2", "user-once takes no parameter"),
    ],
)
def test_a_bad_parameter_is_one_clear_line(recipe, says) -> None:
    with pytest.raises(ValueError, match=r"must|needs|takes") as caught:
        techniques(Recipe.parse(recipe))
    assert str(caught.value) == f"{recipe}: {says}"
