"""What every technique with layers of its own must keep: smaller, written in both formats, a plain module."""

import copy
import pickle

import onnx
import pytest
import torch

from bakeoff.backends import Unsupported

SMALLER = {
    "lowrank:8": 0.96,
    "lowrank:0.5": 0.96,
    "lowrank-embed:8": 0.65,
    "share:16": 0.9,
    "hash-embed:0.25": 0.45,
    "compose-embed:0.1": 0.35,
    "tt-embed:8": 0.3,
    "lowrank-embed:4+tt-embed:2": 0.3,
}


@pytest.mark.engines
@pytest.mark.parametrize(("recipe", "share"), SMALLER.items())
def test_model_and_files_are_smaller_and_answer_alike(dlrm, compress, files, held_bytes, recipe, share) -> None:
    small = compress(dlrm, recipe)
    assert held_bytes(small) <= share * held_bytes(dlrm)
    written = files(small)
    assert written.keys() == {"onnx", "exported"}
    assert all(path.stat().st_size <= 1.05 * held_bytes(small) + 200_000 for path in written.values())
    assert onnx.load(written["onnx"]).opset_import[0].version == 17


@pytest.mark.parametrize("recipe", [*SMALLER, "user-once", "lowrank:8+user-once", "lowrank-embed:8+user-once"])
def test_a_made_model_is_a_plain_module(dlrm, compress, answers, recipe) -> None:
    small = compress(dlrm, recipe)
    assert not small.training
    again = pickle.loads(pickle.dumps(copy.deepcopy(small)))
    assert (answers(again) == answers(small)).all()


@pytest.mark.parametrize("recipe", SMALLER)
def test_what_a_made_model_holds_can_be_trained(dlrm, compress, bench, recipe) -> None:
    small = compress(dlrm, recipe).train()
    small.logits(*bench.examples[0]).sum().backward()
    assert all(weights.grad is not None for weights in small.parameters())


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("lowrank:4", "nothing to factor: the model has no linear layer"),
        ("share:4", "nothing to share"),
        ("lowrank-embed:4", "nothing to factor: the model has no embedding table"),
        ("hash-embed:0.5", "no embedding table of 1000 rows"),
        ("compose-embed:0.5", "no embedding table of 1000 rows"),
        ("tt-embed:4", "no embedding table of 1000 rows"),
        ("user-once", "a DLRM, not of a Sequential"),
    ],
)
def test_a_model_without_such_layers_is_refused(compress, recipe, says) -> None:
    with pytest.raises(Unsupported, match=says):
        compress(torch.nn.Sequential(torch.nn.ReLU()), recipe)


def test_a_layer_that_stands_twice_stays_one(compress) -> None:
    layer = torch.nn.Linear(64, 64)
    small = compress(torch.nn.Sequential(layer, torch.nn.ReLU(), layer), "lowrank:8:error=weights")
    assert small[0] is small[2]
    assert small[0] is not layer
