"""TF-MOT's techniques: what goes to the other environment and comes back; and, marked, what TF-MOT really makes."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from bakeoff.backends import Unsupported
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques
from bakeoff.variants.shared import SharedLinear
from bakeoff.variants.tf_mot_layers import REQUIREMENTS, ROWS, SCRIPT, SETTINGS, SMALLEST
from bakeoff.workloads import apart

from .models import CASES, answer, fresh, jitter

LAYERS = ["bottom.0", "bottom.2", "top.0", "top.2"]
"""The linear layers of the DLRM that are large enough."""


def technique(recipe):
    (found,) = techniques(Recipe.parse(recipe))
    return found


class Elsewhere:
    """Stands for the other environment: keeps what came, and gives the weights that `change` makes of it."""

    def __init__(self, change):
        self.change, self.came = change, {}

    def __call__(self, script, words, requirements, settings):
        self.call = (script, tuple(words[:-2]), requirements, settings)
        with np.load(words[-2], allow_pickle=False) as came:
            self.came = dict(came)
        count = sum(name.startswith("rows.") for name in self.came)
        given = {name: self.change(array) for name, array in self.came.items() if name.startswith("weight.")}
        given |= {name: array + 1 for name, array in self.came.items() if name.startswith("bias.")}
        np.savez(words[-1], **given, **{f"error.{place}": np.float64(0.25) for place in range(count)})


def half_zeros(weight):
    return np.where(np.abs(weight) > np.median(np.abs(weight)), weight, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("tfmot-prune", "tfmot-prune needs its ratio, as in tfmot-prune:0.5"),
        ("tfmot-prune:0", "ratio must be above 0 to below 1, not 0"),
        ("tfmot-prune:1", "ratio must be above 0 to below 1, not 1"),
        ("tfmot-prune:0.5:finetune=-1", "finetune must be"),
        ("tfmot-cluster", "needs its values, as in tfmot-cluster:16"),
        ("tfmot-cluster:1", "values must be a whole number from 2 to 256, which a byte can tell, not 1"),
        ("tfmot-cluster:257", "values must be"),
        ("tfmot-qat:8", "tfmot-qat takes no parameter"),
    ],
)
def test_bad_parameters_are_one_clear_line(recipe, said):
    with pytest.raises(ValueError, match=said):
        technique(recipe)


def test_each_large_layer_goes_with_what_it_reads():
    case, elsewhere = CASES["dlrm"], Elsewhere(half_zeros)
    module = case.module()
    bench = case.bench(apart=elsewhere, seed=7)
    technique("tfmot-prune:0.5").apply(copy.deepcopy(module), bench)
    assert elsewhere.call == (SCRIPT, ("prune", "0.5", "7"), REQUIREMENTS, SETTINGS)
    assert {name: bench.facts[f"error.{name}"] for name in LAYERS} == dict.fromkeys(LAYERS, 0.25)
    for place, name in enumerate(LAYERS):
        layer, rows = module.get_submodule(name), torch.from_numpy(elsewhere.came[f"rows.{place}"])
        assert layer.weight.numel() >= SMALLEST
        assert rows.shape == (400, layer.in_features)
        assert (elsewhere.came[f"weight.{place}"] == layer.weight.detach().numpy()).all()
        read = []
        hook = layer.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        with torch.no_grad():
            [module(*example) for example in bench.examples]
        hook.remove()
        assert set(map(tuple, rows.tolist())) == set(map(tuple, torch.cat(read).tolist()))
    assert f"weight.{len(LAYERS)}" not in elsewhere.came, "the last layer is small"


def test_no_more_rows_go_than_are_wanted_and_the_same_each_time():
    case, elsewhere = CASES["dlrm"], Elsewhere(half_zeros)
    examples = [case.example(np.random.default_rng(1), 3000) for _ in range(2)]

    def came(seed):
        technique("tfmot-qat").apply(case.module(), Bench(examples, seed=seed, apart=elsewhere))
        return elsewhere.came["rows.0"]

    first = came(0)
    assert len(first) == ROWS
    assert (came(0) == first).all()
    assert (came(1) != first).any()


def test_zeros_stay_while_the_rest_is_fine_tuned():
    case = CASES["dlrm"]
    module = case.module()
    bench = case.bench(apart=Elsewhere(half_zeros), train=jitter)
    made = technique("tfmot-prune:0.5:finetune=0.1").apply(copy.deepcopy(module), bench)
    for name in LAYERS:
        weight, before = made.get_submodule(name).weight.detach(), module.get_submodule(name).weight.detach()
        assert ((weight == 0).numpy() == (half_zeros(before.numpy()) == 0)).all()
        assert (weight != torch.from_numpy(half_zeros(before.numpy()))).any(), "it was trained"
    assert technique("tfmot-prune:0.5:finetune=0.1").control == "finetune:0.1"


def test_clusters_become_codes_which_hold_the_values_exactly():
    case = CASES["dlrm"]
    module = case.module()

    def four(weight):
        return (np.sign(weight) * np.where(np.abs(weight) > 0.1, 0.2, 0.05)).astype(np.float32)

    made = technique("tfmot-cluster:4").apply(copy.deepcopy(module), case.bench(apart=Elsewhere(four)))
    for name in LAYERS:
        layer, before = made.get_submodule(name), module.get_submodule(name)
        assert isinstance(layer, SharedLinear)
        assert (layer.codebook[layer.codes.long()].detach().numpy() == four(before.weight.detach().numpy())).all()
        assert (layer.bias == before.bias + 1).all(), "TF-MOT trains the bias too"
    assert isinstance(made.top[4], nn.Linear)


def test_a_layer_without_bias_gets_none():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(32, 16, bias=False)

        def forward(self, rows):
            return self.layer(rows)

    elsewhere = Elsewhere(half_zeros)
    made = technique("tfmot-qat").apply(Plain(), Bench([(torch.randn(8, 32),)], apart=elsewhere))
    assert elsewhere.came.keys() == {"weight.0", "rows.0"}
    assert made.layer.bias is None
    assert (made.layer.weight == 0).float().mean() == 0.5


def test_what_does_not_apply_says_why():
    bench = Bench([(torch.randn(8, 4),)], apart=Elsewhere(half_zeros))
    with pytest.raises(Unsupported, match="no linear layer of 256 weights"):
        technique("tfmot-qat").apply(nn.Sequential(nn.Linear(4, 4)), bench)
    large = nn.Sequential(nn.Linear(32, 32))
    with pytest.raises(Unsupported, match="no example requests"):
        technique("tfmot-prune:0.5").apply(large, Bench([], apart=Elsewhere(half_zeros)))
    with pytest.raises(Unsupported, match="in an environment of its own"):
        technique("tfmot-cluster:4").apply(large, Bench([(torch.randn(8, 32),)]))


def test_numbers_that_are_not_finite_are_a_failure():
    bench = CASES["dlrm"].bench(apart=Elsewhere(lambda weight: weight * np.float32("nan")))
    with pytest.raises(RuntimeError, match=r"layer bottom\.0 numbers that are not finite"):
        technique("tfmot-qat").apply(CASES["dlrm"].module(), bench)


def test_this_process_imports_no_tensorflow():
    code = (
        "import sys, bakeoff.variants.tf_mot, bakeoff.variants.tf_mot_layers;"
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'tf_keras') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def really():
    """Apply a recipe to the small DLRM by the real TF-MOT; (model before, model after, facts)."""

    def apply(recipe):
        case = CASES["dlrm"]
        module, bench = case.module(), case.bench(apart=apart.run)
        return module, technique(recipe).apply(copy.deepcopy(module), bench), bench.facts

    return apply


def off(before, after):
    """What is off of a new request's answers, as a share of their spread."""
    assert len(fresh("dlrm")[0]) == 60
    right = answer("dlrm", before)
    return float((answer("dlrm", after) - right).norm() / (right - right.mean(0)).norm())


@pytest.mark.engines
@pytest.mark.slow
def test_real_pruning_gives_the_zeros_asked_for_and_trains_the_rest(really):
    before, after, facts = really("tfmot-prune:0.5")
    for name in LAYERS:
        weight = after.get_submodule(name).weight
        assert float((weight == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert off(before, after) < off(before, technique("prune:0.5").apply(copy.deepcopy(before), Bench([])))
    assert all(facts[f"error.{name}"] < 0.5 for name in LAYERS)
    again = really("tfmot-prune:0.5")[1].state_dict()
    assert all((tensor == again[name]).all() for name, tensor in after.state_dict().items()), "one seed, one model"


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 16])
def test_real_clusters_are_no_more_than_asked_for(really, count):
    before, after, _ = really(f"tfmot-cluster:{count}")
    for name in LAYERS:
        layer = after.get_submodule(name)
        assert 1 < len(layer.codebook) <= count
        assert int(layer.codes.max()) < count
    if count == 16:
        assert off(before, after) < 0.5
        again = really("tfmot-cluster:16")[1].state_dict()
        assert all((tensor == again[name]).all() for name, tensor in after.state_dict().items()), "one seed, one model"


@pytest.mark.engines
@pytest.mark.slow
def test_real_quantised_weights_lie_on_the_grid_that_an_int8_precision_finds(really):
    before, after, _ = really("tfmot-qat")
    assert off(before, after) < 0.1
    for name in LAYERS:
        weight = after.get_submodule(name).weight.detach().double()
        assert (weight != before.get_submodule(name).weight).any()
        step = weight.abs().amax(1, keepdim=True) / 127
        places = weight / step
        assert (places - places.round()).abs().max() < 1e-3
        base = before.get_submodule(name).weight.detach().double()
        places = base / (base.abs().amax(1, keepdim=True) / 127)
        assert (places - places.round()).abs().max() > 0.1, "and did not before"
    again = really("tfmot-qat")[1].state_dict()
    assert all((tensor == again[name]).all() for name, tensor in after.state_dict().items()), "one seed, one model"
