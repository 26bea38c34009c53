"""Unstructured and semi-structured pruning: where the zeros are, and that they stay."""

import copy

import pytest
import torch
from torch import nn

from bakeoff.backends import Unsupported
from bakeoff.variants import Bench
from bakeoff.variants.masks import largest, zero
from bakeoff.variants.prune import Prune
from bakeoff.variants.prune_2of4 import Prune2of4
from bakeoff.variants.prune_sensitive import PruneSensitive, allotted, hull
from bakeoff.variants.structure import linears

from .models import CASES, answer, jitter


def zeros(module):
    return {name: int((layer.weight == 0).sum()) for name, layer in linears(module).items()}


def sizes(module):
    return {name: layer.weight.numel() for name, layer in linears(module).items()}


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
def test_the_layers_lose_exactly_that_share_together_the_smallest_first(ratio):
    base = CASES["dlrm"].module()
    module = Prune(ratio).apply(copy.deepcopy(base), CASES["dlrm"].bench())
    assert sum(zeros(module).values()) == round(ratio * sum(sizes(base).values()))
    before, after = (
        torch.cat([layer.weight.detach().flatten() for layer in linears(each).values()]) for each in (base, module)
    )
    stay = after != 0
    assert torch.equal(after[stay], before[stay])
    assert before[stay].abs().min() >= before[~stay].abs().max()


@pytest.mark.parametrize("technique", [Prune, PruneSensitive])
def test_ratio_0_is_the_base(technique):
    base = CASES["dlrm"].module()
    module = technique(0.0).apply(copy.deepcopy(base), CASES["dlrm"].bench())
    assert all(torch.equal(ours, right) for ours, right in zip(module.parameters(), base.parameters(), strict=True))


@pytest.mark.parametrize("technique", [Prune(0.7, 0.5), PruneSensitive(0.7, 0.5), Prune2of4(0.5)])
def test_fine_tuning_keeps_the_zeros_and_moves_the_rest(technique):
    base, shares = CASES["dlrm"].module(), []

    def train(module, share, teacher=None):
        shares.append(share)
        jitter(module, share)

    bench = CASES["dlrm"].bench(train=train)
    plain = type(technique)(**({"ratio": 0.7} if hasattr(technique, "ratio") else {})).apply(copy.deepcopy(base), bench)
    assert shares == []
    tuned = technique.apply(copy.deepcopy(base), bench)
    assert shares == [0.5]
    assert not tuned.training
    assert zeros(tuned) == zeros(plain)
    for name, layer in linears(tuned).items():
        assert not torch.equal(layer.weight, linears(plain)[name].weight)
        assert layer.weight.grad is None or not layer.weight._backward_hooks, "no hook stays behind"


@pytest.mark.engines
@pytest.mark.parametrize("technique", [Prune(0.5), PruneSensitive(0.5), Prune2of4()])
def test_pruned_models_export(technique, tmp_path):
    case = CASES["sasrec"]
    module = technique.apply(case.module(), case.bench())
    assert case.export(module, tmp_path).keys() == {"exported", "onnx"}
    assert torch.equal(answer("sasrec", copy.deepcopy(module)), answer("sasrec", module))


@pytest.mark.parametrize("technique", [Prune(0.5), PruneSensitive(0.5), Prune2of4()])
def test_a_model_without_linear_layers(technique):
    with pytest.raises(Unsupported, match="no linear layer"):
        technique.apply(nn.Embedding(4, 4), Bench([(torch.zeros(3, dtype=torch.int64),)]))


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize("technique", [Prune, PruneSensitive])
def test_a_ratio_that_is_none(technique, ratio):
    with pytest.raises(ValueError, match="ratio must be from 0 to below 1"):
        technique(ratio)


def test_two_of_each_four_weights_are_zero_the_smaller_ones():
    module = nn.Sequential(nn.Linear(8, 3), nn.ReLU(), nn.Linear(3, 2))
    odd = module[2].weight.clone()
    before = module[0].weight.detach().abs().reshape(-1, 4)
    bench = Bench([])
    after = Prune2of4().apply(module, bench)[0].weight.reshape(-1, 4)
    assert ((after != 0).sum(1) == 2).all()
    assert (before.sort(dim=1).values[:, 2:].sum(1) == after.abs().sum(1)).all()
    assert torch.equal(module[2].weight, odd), "three inputs do not make a four"
    assert bench.facts["layers_2of4"] == "1 of 2"
    assert "none" in bench.facts["gain_2of4"]
    with pytest.raises(Unsupported, match="multiple of four"):
        Prune2of4().apply(nn.Linear(3, 2), bench)


def lopsided():
    """The first layer is all signal, the second hides a copy of it among weights that nothing depends on."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)).eval()
    module[0].weight.data = torch.linalg.qr(torch.randn(16, 16)).Q
    module[1].weight.data = torch.eye(16) + 1e-4 * torch.randn(16, 16)
    return module


def test_layers_that_bear_it_are_pruned_more():
    examples = [(torch.randn(64, 16),)]
    bench = Bench(examples)
    module = PruneSensitive(0.5).apply(lopsided(), bench)
    found = zeros(module)
    assert sum(found.values()) == pytest.approx(256, abs=2)
    assert found["1"] > 220 > 60 > found["0"]
    assert bench.facts["sensitivity"] == "error of the output"
    assert bench.facts["sensitivity.0@0.8"] > 100 * abs(bench.facts["sensitivity.1@0.8"])
    assert bench.facts["ratio.1"] == pytest.approx(found["1"] / 256, abs=0.01)
    uniform = lopsided()
    zero({layer: largest(layer.weight, 0.5) for layer in linears(uniform).values()})
    right = lopsided()(*examples[0])
    assert (module(*examples[0]) - right).norm() < 0.5 * (uniform(*examples[0]) - right).norm()


def test_the_loss_decides_where_there_is_one():
    calls = []

    def loss(module):
        calls.append(module)
        return float((module[1].weight.detach() - torch.eye(16)).square().sum())

    bench = Bench([], loss=loss)
    found = zeros(PruneSensitive(0.4).apply(lopsided(), bench))
    assert bench.facts["sensitivity"] == "rise of the loss"
    assert bench.facts["sensitivity.0@0.97"] == 0, "to this loss the first layer does not matter"
    assert bench.facts["sensitivity.1@0.97"] > 0
    assert len(calls) == 1 + 2 * 5
    assert sum(found.values()) == pytest.approx(0.4 * 512, abs=2)


def test_neither_loss_nor_examples():
    with pytest.raises(Unsupported, match="no example requests"):
        PruneSensitive(0.5).apply(lopsided(), Bench([]))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 0.96])
def test_allotted_ratios_are_the_best_on_convex_curves(ratio):
    tried = [k / 100 for k in range(1, 97)]
    curves = {"a": {r: r**2 for r in tried}, "b": {r: 4 * r**2 for r in tried}, "c": {r: 30 * r**4 for r in tried}}
    size = {"a": 100, "b": 300, "c": 50}
    ratios = allotted(curves, size, ratio)
    assert sum(ratios[name] * size[name] for name in size) == pytest.approx(ratio * 450)

    def cost(a, b, c):
        return a**2 + 4 * b**2 + 30 * c**4

    best = min(
        cost(a, b, c)
        for a in tried
        for b in tried
        if 0 <= (c := (ratio * 450 - 100 * a - 300 * b) / 50) <= 0.96
    )  # fmt: skip
    assert cost(**ratios) == pytest.approx(best, rel=0.02)


def test_the_hull_is_convex_and_below_the_curve():
    pieces = hull({0.2: 5.0, 0.4: 1.0, 0.6: 4.0, 0.8: 2.0, 0.9: -0.5, 0.97: 9.0})
    assert [(round(start, 2), round(span, 2), round(rise, 2)) for start, span, rise in pieces] == [
        (0, 0.9, -0.5),
        (0.9, 0.07, 9.5),
    ]
