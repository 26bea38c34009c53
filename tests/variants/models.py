"""Small real models as the techniques meet them, with their inputs and example requests."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from bakeoff.backends import Tensor
from bakeoff.variants import Bench
from bakeoff.workloads.dlrm import Dlrm
from bakeoff.workloads.exporting import export

ITEMS, LENGTH, TOKENS = 200, 10, 12

torch.set_num_threads(1)  # more would wait for each other on a busy machine, for minutes in all


class Attention(nn.Module):
    """Causal attention; its heads can be cut."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, mask):
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3) * self.head_width**-0.5 + mask, dim=-1)
        return self.out((weights @ value).transpose(1, 2).flatten(2))

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_width).transpose(1, 2)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width, heads)
        self.feedforward = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x, mask):
        x = x + self.attention(self.norms[0](x), mask)
        return x + self.feedforward(self.norms[1](x))


class SasRec(nn.Module):
    """(history int64 [1, LENGTH], candidates int64 [rows]) -> score float32 [rows]."""

    def __init__(self, width=32, blocks=3, heads=4):
        super().__init__()
        self.items, self.places = nn.Embedding(ITEMS, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.register_buffer("order", torch.arange(LENGTH))
        self.register_buffer("mask", torch.full((LENGTH, LENGTH), -1e4).triu(1))

    def forward(self, history, candidates):
        x = self.items(history) + self.places(self.order)
        for block in self.blocks:
            x = block(x, self.mask)
        return (self.items(candidates) * x[:, LENGTH - 1]).sum(1)


class Encoder(nn.Module):
    """A small BERT without trained weights: (ids, mask) -> embedding [rows, 24]."""

    def __init__(self):
        super().__init__()
        config = BertConfig(
            vocab_size=ITEMS, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
            max_position_embeddings=TOKENS, attn_implementation="eager",
        )  # fmt: skip
        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids, attention_mask):
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        return functional.normalize((states * weight).sum(1) / weight.sum(1), dim=1)


@dataclass(frozen=True)
class Case:
    """A kind of model, what it takes, and a maker of requests with so many rows."""

    make: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    request: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]

    def module(self, seed=0):
        """Random weights, with biases and hidden layers that matter."""
        torch.manual_seed(seed)
        module = self.make().eval()
        for part in module.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_normal_(part.weight)
                nn.init.normal_(part.bias, 0, 0.1)
        return module

    def bench(self, **more):
        rng = np.random.default_rng(5)
        return Bench([self.example(rng, 40) for _ in range(10)], **more)

    def example(self, rng, rows):
        return tuple(map(torch.from_numpy, self.request(rng, rows)))

    def export(self, module, folder):
        """Both files; each is compared with the module in the making."""
        arrays = self.request(np.random.default_rng(6), 17)
        rows = {tensor.name: array for tensor, array in zip(self.inputs, arrays, strict=True)}
        return export(module, self.inputs, ("score",), rows, folder)


def dlrm_request(rng, rows):
    return rng.standard_normal((rows, 13)).astype(np.float32), rng.integers(0, 50, (rows, 3))


def sasrec_request(rng, rows):
    return rng.integers(0, ITEMS, (1, LENGTH)), rng.integers(0, ITEMS, rows)


def encoder_request(rng, rows):
    return rng.integers(0, ITEMS, (rows, TOKENS)), (np.arange(TOKENS) < rng.integers(3, 13, (rows, 1))).astype(np.int64)


CASES = {
    "dlrm": Case(
        lambda: Dlrm(13, [50, 50, 50]),
        (Tensor("dense", "float32", (None, 13)), Tensor("sparse", "int64", (None, 3))),
        dlrm_request,
    ),
    "sasrec": Case(
        SasRec,
        (Tensor("history", "int64", (1, LENGTH), "request"), Tensor("candidates", "int64", (None,))),
        sasrec_request,
    ),
    "encoder": Case(
        Encoder,
        (Tensor("input_ids", "int64", (None, TOKENS)), Tensor("attention_mask", "int64", (None, TOKENS))),
        encoder_request,
    ),
}


@cache
def fresh(kind):
    """A request that no technique saw."""
    return CASES[kind].example(np.random.default_rng(8), 60)


@torch.no_grad()
def answer(kind, module):
    return module(*fresh(kind))


def parameters(module):
    return sum(weights.numel() for weights in module.parameters())


def jitter(module, share, teacher=None):
    """Stands for a training: a few steps of an optimiser that also moves weights without a gradient of their own."""
    torch.manual_seed(1)
    optimiser = torch.optim.AdamW(module.parameters(), 1e-2 * share, weight_decay=0.1)
    module.train()
    for _ in range(5):
        optimiser.zero_grad()
        sum(weights.square().sum() + weights.sum() for weights in module.parameters()).backward()
        optimiser.step()
