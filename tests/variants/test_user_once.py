import numpy as np
import pytest
import torch

from bakeoff.backends import Unsupported
from bakeoff.workloads.dlrm_tiled import TiledDlrm


@pytest.mark.parametrize(
    "before", ["base", "lowrank:8", "share:16", "lowrank-embed:8", "hash-embed:0.5", "compose-embed:0.1", "tt-embed:4"]
)
def test_the_tile_answers_as_the_model_does(dlrm, compress, answers, before) -> None:
    module = compress(dlrm, before)
    tiled = compress(module, "user-once")
    assert isinstance(tiled, TiledDlrm)
    np.testing.assert_allclose(answers(tiled), answers(module), atol=1e-6, rtol=0)


@pytest.mark.parametrize("recipe", ["user-once", "lowrank:8+user-once", "compose-embed:0.1+user-once"])
def test_the_tile_can_be_written(dlrm, compress, files, recipe) -> None:
    assert files(compress(dlrm, recipe)).keys() == {"onnx", "exported"}


def test_the_user_is_the_first_rows(dlrm, compress, request_rows) -> None:
    tiled, dense = compress(dlrm, "user-once"), torch.from_numpy(request_rows["dense"])
    same, other = torch.from_numpy(request_rows["sparse"]), torch.from_numpy(request_rows["sparse"].copy())
    other[1:, [0, 3, 4, 5, 6, 7]] = 0
    assert tiled(dense, other).equal(tiled(dense, same))
    other[0, 0] = 1 + same[0, 0]
    assert not tiled(dense, other).equal(tiled(dense, same))


def test_what_the_first_layer_takes_per_item_is_narrower(dlrm, compress) -> None:
    tiled = compress(dlrm, "user-once")
    assert (tiled.entry.items.in_features, tiled.entry.user.in_features) == (37, 15)


def test_the_layers_of_a_tile_can_be_factored(dlrm, compress, files) -> None:
    small = compress(dlrm, "user-once+lowrank:8")
    assert [type(layer).__name__ for layer in (small.entry.items, small.top[1])] == ["FactoredLinear"] * 2
    assert files(small).keys() == {"onnx", "exported"}


def test_a_tile_is_not_trained(dlrm, compress, bench) -> None:
    tiled = compress(dlrm, "user-once")
    with pytest.raises(Unsupported, match="make it the last technique"):
        tiled.logits(*bench.examples[0])
    with pytest.raises(Unsupported, match="not of a TiledDlrm"):
        compress(tiled, "user-once")
