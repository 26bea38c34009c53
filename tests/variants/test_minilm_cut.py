"""Structured pruning of a real transformer: the published MiniLM weights."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

from bakeoff.variants import Bench
from bakeoff.variants.prune_heads import PruneHeads
from bakeoff.variants.prune_layers import PruneLayers
from bakeoff.variants.prune_neurons import PruneNeurons
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.exporting import export

from .models import parameters

pytestmark = pytest.mark.quality


@pytest.fixture(scope="module")
def encoder():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bakeoff.workloads import minilm
        from bakeoff.workloads.search_biencoder import Encoder

        return Encoder(minilm.published(cache_dir() / "downloads")).eval()


def request(seed, rows=16):
    from bakeoff.workloads.minilm import TOKENS

    rng = np.random.default_rng(seed)
    mask = (np.arange(TOKENS) < rng.integers(5, TOKENS, (rows, 1))).astype(np.int64)
    return {"input_ids": rng.integers(1000, 20_000, (rows, TOKENS)), "attention_mask": mask}


def tensors(seed):
    return tuple(map(torch.from_numpy, request(seed).values()))


@torch.no_grad()
def cosine(one, other):
    return float((one(*tensors(9))[1] * other(*tensors(9))[1]).sum(1).mean())


@pytest.mark.parametrize(
    ("technique", "little", "removed"),
    [(PruneNeurons, 0.02, 6 * 768 * (2 * 384 + 1)), (PruneHeads, 0.05, 6 * 192 * (4 * 384 + 3)),
     (PruneLayers, 0.17, 3 * 1_774_464)],
)  # fmt: skip
def test_half_of_it_is_gone_and_little_removed_changes_little(encoder, technique, little, removed, tmp_path):
    from bakeoff.workloads.search_biencoder import SearchBiencoder

    bench = Bench([tensors(seed) for seed in range(2)])
    half = technique(0.5).apply(copy.deepcopy(encoder), bench)
    assert parameters(encoder) - parameters(half) == removed
    files = export(half, SearchBiencoder.inputs, SearchBiencoder.outputs, request(1, 17), tmp_path)
    assert files.keys() == {"exported", "onnx"}
    again = pickle.loads(pickle.dumps(copy.deepcopy(half)))
    assert cosine(again, half) == pytest.approx(1, abs=1e-5)
    most = technique(little).apply(copy.deepcopy(encoder), bench)
    assert cosine(half, encoder) < cosine(most, encoder) < 0.99999
    assert cosine(most, encoder) > 0.9
