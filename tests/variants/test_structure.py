"""What can be cut is found by structure, and only where cutting it is safe."""

import pytest
import torch
from torch import nn

from bakeoff.variants.structure import attentions, hidden, stacks

from .models import CASES, answer


def widths(module):
    return [layer.inner.out_features for layer in hidden(module)]


@pytest.mark.parametrize(
    ("kind", "neurons", "heads", "blocks"),
    [("dlrm", [64, 256, 128], [], {}), ("sasrec", [128] * 3, [4] * 3, {"blocks": 3}),
     ("encoder", [48] * 3, [4] * 3, {"bert.encoder.layer": 3})],
)  # fmt: skip
def test_models_as_they_are_served(kind, neurons, heads, blocks):
    module = CASES[kind].module()
    assert widths(module) == neurons
    assert [attention.heads for attention in attentions(module)] == heads
    assert {name: len(stack) for name, stack in stacks(module).items()} == blocks


@pytest.mark.parametrize("kind", ["dlrm", "sasrec", "encoder"])
def test_keeping_all_in_another_order_changes_nothing(kind):
    module = CASES[kind].module()
    before = answer(kind, module)
    for layer in hidden(module):
        layer.keep(torch.arange(layer.inner.out_features).flip(0))
    for attention in attentions(module):
        attention.keep(torch.arange(attention.heads).flip(0))
    torch.testing.assert_close(answer(kind, module), before, rtol=1e-4, atol=1e-5)


def test_what_looks_at_several_neurons_stands_in_the_way():
    assert widths(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))) == [5]


def test_the_same_norm_in_two_places_stands_in_the_way_of_both():
    norm = nn.LayerNorm(6)
    assert widths(nn.Sequential(nn.Linear(4, 6), norm, nn.Linear(6, 6), norm, nn.Linear(6, 1))) == []


def test_a_layer_that_is_used_twice_is_left_alone():
    shared = nn.Linear(6, 6)
    assert widths(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), shared, nn.ReLU(), shared)) == []


def test_factors_within_a_sequential_and_blocks_in_one():
    factored = nn.Sequential(nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 8)), nn.ReLU(), nn.Linear(8, 1))
    assert widths(factored) == [2, 8]
    block = nn.ModuleDict({"feedforward": nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 4))})
    assert widths(nn.Sequential(block, nn.Identity())) == [9]


def test_a_sequential_with_a_way_of_its_own_is_left_alone():
    class Skips(nn.Sequential):
        def forward(self, x):
            return self[2](self[0](x))

    assert widths(Skips(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))) == []
