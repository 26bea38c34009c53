"""Structured pruning: the models are really smaller, still export, and lose no more than they must."""

import copy
import pickle

import pytest
import torch
from torch import nn

from bakeoff.backends import Unsupported
from bakeoff.scenario.recipe import Recipe
from bakeoff.variants import Bench, techniques
from bakeoff.variants.prune_heads import PruneHeads
from bakeoff.variants.prune_layers import PruneLayers
from bakeoff.variants.prune_neurons import PruneNeurons
from bakeoff.variants.structure import attentions, hidden, stacks

from .models import CASES, answer, jitter, parameters

PAIRS = [
    ("dlrm", PruneNeurons),
    *((kind, technique) for kind in ("sasrec", "encoder") for technique in (PruneNeurons, PruneHeads, PruneLayers)),
]


@pytest.mark.engines
@pytest.mark.parametrize(("kind", "technique"), PAIRS)
def test_half_is_smaller_and_exports(kind, technique, tmp_path):
    case = CASES[kind]
    base = case.module()
    module = technique(0.5).apply(copy.deepcopy(base), case.bench())
    assert not module.training
    assert parameters(module) < 0.9 * parameters(base)
    assert torch.isfinite(answer(kind, module)).all()
    assert not torch.allclose(answer(kind, module), answer(kind, base), atol=1e-4)
    assert case.export(module, tmp_path).keys() == {"exported", "onnx"}
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(answer(kind, again), answer(kind, module))


@pytest.mark.parametrize(("kind", "technique"), PAIRS)
def test_ratio_0_is_the_base(kind, technique):
    base = CASES[kind].module()
    module = technique(0.0).apply(copy.deepcopy(base), CASES[kind].bench())
    assert torch.equal(answer(kind, module), answer(kind, base))


@pytest.mark.parametrize(("kind", "technique"), PAIRS)
def test_little_removed_changes_little(kind, technique):
    base = CASES[kind].module()
    error = {}
    for ratio in (0.02, 0.6) if technique is PruneNeurons else (0.25, 0.75):
        module = technique(ratio).apply(copy.deepcopy(base), CASES[kind].bench())
        error[ratio] = float((answer(kind, module) - answer(kind, base)).square().mean() / answer(kind, base).var())
    least, most = sorted(error)
    assert error[least] < 0.75 * error[most]


@pytest.mark.parametrize(("kind", "technique"), PAIRS)
def test_one_stays(kind, technique):
    module = technique(0.99).apply(CASES[kind].module(), CASES[kind].bench())
    assert all(layer.inner.out_features >= 1 for layer in hidden(module))
    assert all(attention.heads >= 1 for attention in attentions(module))
    assert all(len(blocks) >= 1 for blocks in stacks(module).values())
    assert torch.isfinite(answer(kind, module)).all()


@pytest.mark.parametrize(("kind", "technique"), PAIRS)
def test_fine_tuning_trains_the_smaller_model(kind, technique):
    seen = []

    def train(module, share, teacher=None):
        seen.append((share, parameters(module)))
        jitter(module, share)

    module = technique(0.5, 0.3).apply(CASES[kind].module(), CASES[kind].bench(train=train))
    assert seen == [(0.3, parameters(module))]
    assert not module.training


def test_shapes_of_a_click_model():
    bench = CASES["dlrm"].bench()
    module = PruneNeurons(0.5).apply(CASES["dlrm"].module(), bench)
    shapes = [(layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(13, 32), (32, 16), (22, 128), (128, 64), (64, 1)]
    assert bench.facts["hidden_neurons"] == "224 of 448"


def test_shapes_of_heads():
    bench = CASES["encoder"].bench()
    module = PruneHeads(0.5).apply(CASES["encoder"].module(), bench)
    for layer in module.bert.encoder.layer:
        itself = layer.attention.self
        assert (itself.num_attention_heads, itself.attention_head_size, itself.all_head_size) == (2, 6, 12)
        assert itself.query.weight.shape == itself.value.weight.shape == (12, 24)
        assert layer.attention.output.dense.weight.shape == (24, 12)
    assert bench.facts["heads"] == "6 of 12"


def test_neurons_that_others_can_stand_in_for_go_without_loss():
    """Two neurons are copies of others and two are constant: these must go, and be made up for."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(8, 6))
        module[0].weight[4:] = torch.cat([torch.eye(2, 6), torch.zeros(2, 6)])
        module[0].bias[6:] = 3
        module[2].weight.normal_()
    examples = [(torch.randn(500, 6),)]
    before = module(*examples[0]).detach()
    spread = float(before.var(0).mean())
    half = PruneNeurons(0.5).apply(copy.deepcopy(module), Bench(examples))
    assert half[0].out_features == 4
    assert (half(*examples[0]) - before).square().mean() < 0.001 * spread
    quarter = PruneNeurons(0.75).apply(copy.deepcopy(module), Bench(examples))
    assert (quarter(*examples[0]) - before).square().mean() > 0.05 * spread


class Branches(nn.Module):
    """Two of them, of which requests like the examples take the first."""

    def __init__(self):
        super().__init__()
        self.taken, self.other = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(2))

    def forward(self, rows):
        return self.taken(rows)


def test_neurons_that_no_example_reaches_go_by_their_weights():
    torch.manual_seed(4)
    base = Branches()
    module = PruneNeurons(0.5).apply(copy.deepcopy(base), Bench([(torch.randn(100, 4),)]))
    kept = base.other[2].weight.detach()[0].abs().topk(4).indices.sort().values
    torch.testing.assert_close(module.other[2].weight, base.other[2].weight[:, kept])
    torch.testing.assert_close(module.other[2].bias, base.other[2].bias)


def test_a_layer_without_a_bias_gets_one():
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 2, bias=False)).eval()
    examples = [(torch.randn(300, 4),)]
    before = module(*examples[0]).mean(0)
    after = PruneNeurons(0.75).apply(module, Bench(examples))
    torch.testing.assert_close(after(*examples[0]).mean(0), before, atol=1e-4, rtol=1e-4)


def test_a_head_that_another_can_stand_in_for_goes_first():
    module = CASES["sasrec"].module()
    with torch.no_grad():
        for attention in attentions(module):
            for layer in (attention.query, attention.key, attention.value):
                layer.weight[8:16] = layer.weight[24:]
                layer.bias[8:16] = layer.bias[24:]
    before = answer("sasrec", module)
    after = PruneHeads(0.25).apply(module, CASES["sasrec"].bench())
    assert [attention.heads for attention in attentions(after)] == [3, 3, 3]
    assert (answer("sasrec", after) - before).square().mean() < 1e-3 * before.var()


@pytest.mark.parametrize("by_loss", [False, True])
def test_the_block_that_does_nothing_goes_first(by_loss):
    module = CASES["sasrec"].module()
    with torch.no_grad():
        for layer in (module.blocks[1].attention.out, module.blocks[1].feedforward[2]):
            layer.weight.zero_()
            layer.bias.zero_()
    before = answer("sasrec", module)
    more = {"loss": lambda it: float((answer("sasrec", it) - before).square().mean())} if by_loss else {}
    bench = CASES["sasrec"].bench(**more)
    after = PruneLayers(0.33).apply(module, bench)
    assert bench.facts["layers.blocks"] == "0, 2"
    torch.testing.assert_close(answer("sasrec", after), before)


def test_chains():
    module, bench = CASES["encoder"].module(), CASES["encoder"].bench()
    for technique in techniques(Recipe.parse("prune-layers:0.3 > prune-heads:0.5 > prune-neurons:0.5 > prune:0.5")):
        module = technique.apply(module, bench)
    assert len(module.bert.encoder.layer) == 2
    assert [layer.inner.out_features for layer in hidden(module)] == [24, 24]
    assert torch.isfinite(answer("encoder", module)).all()


@pytest.mark.parametrize(
    ("technique", "module", "says"),
    [
        (PruneNeurons(0.5), nn.Linear(4, 4), "no neurons to remove"),
        (PruneHeads(0.5), CASES["dlrm"].module(), "no heads to remove"),
        (PruneLayers(0.5), CASES["dlrm"].module(), "no layers to remove"),
        (PruneHeads(0.1), CASES["sasrec"].module(), "0.1 of 4 heads"),
        (PruneLayers(0.1), CASES["sasrec"].module(), "0.1 of 3 layers"),
        (PruneNeurons(0.001), CASES["dlrm"].module(), "0.001 of 256 neurons"),
    ],
)
def test_nothing_to_cut_is_one_clear_line(technique, module, says):
    with pytest.raises(Unsupported, match=says) as caught:
        technique.apply(module, CASES["sasrec"].bench())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("technique", [PruneNeurons, PruneHeads, PruneLayers])
def test_no_examples(technique):
    with pytest.raises(Unsupported, match="no example requests"):
        technique(0.5).apply(CASES["sasrec"].module(), Bench([]))


@pytest.mark.parametrize("technique", [PruneNeurons, PruneHeads, PruneLayers])
def test_parameters_that_are_none(technique):
    for ratio in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="ratio must be from 0 to below 1"):
            technique(ratio)
    with pytest.raises(ValueError, match="finetune must be"):
        technique(0.5, -1)
