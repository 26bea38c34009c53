"""Small models with embedding tables of all kinds, as exported programs, for the tests of how tables are set apart."""

import warnings

import numpy as np
import torch
from torch import nn

from bakeoff.backends import Artifact, Tensor

INPUTS = (Tensor("dense", "float32", (None, 4)), Tensor("ids", "int64", (None, 2)))
OUTPUTS = ("score", "vector")
CPU = torch.device("cpu")


class Ranker(nn.Module):
    """Plain, pooled, hashed and int8 tables that can be set apart; a table of positions and a tied one that cannot."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(10 * (k + 1), 4) for k in range(3))
        self.bag = nn.EmbeddingBag(10, 4, mode="mean")
        self.positions = nn.Embedding(3, 4)
        self.tied = nn.Embedding(10, 4)
        self.register_buffer("codes", torch.arange(40).reshape(10, 4).to(torch.int8))
        self.register_buffer("scales", torch.rand(10, 1))
        self.head = nn.Linear(4, 1)

    def forward(self, dense, ids):
        hashed = ids % 7
        rows = self.tables[0](ids[:, 0]) + self.tables[1](hashed[:, 1]) + self.tables[2](hashed).sum(1)
        rows = rows + self.bag(ids) + self.codes[ids[:, 0]].float() * self.scales[ids[:, 0]]
        rows = rows + self.positions(torch.arange(3)).sum(0) + (ids[:, :1] > 3) + torch.tensor([0.5, 1.0, 2.0, 3.0])
        rows = rows + self.tied(ids[:, 1]) @ self.tied.weight.T @ self.tied.weight
        vector = rows * dense.sum(1, keepdim=True).reshape(dense.shape[0], 1)
        return torch.sigmoid(self.head(vector))[:, 0], vector.to(torch.bfloat16)


class ByShape(nn.Module):
    """Its look-up reads the shape of a float input, which is no value of it."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, dense, ids):
        return self.table(ids.reshape(dense.shape[0], -1)).sum(1) * dense, dense.sum(1)


class Computed(nn.Module):
    """Its ids come from a float input: they cannot go where the integers go."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, dense, ids):
        return self.table(dense[:, 0].long().clamp(0, 9)), ids.float()


def exported(module):
    """The module as an exported program's graph, with a free number of items."""
    return program(module).module()


def program(module):
    torch.manual_seed(1)
    items = torch.export.Dim("items", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = tuple(map(torch.from_numpy, request(3).values()))
        return torch.export.export(module.eval(), given, dynamic_shapes=({0: items}, {0: items}))


def write(folder):
    """A small ranking model's file."""
    torch.export.save(program(ByShape()), folder / "ranker.pt2")
    return folder / "ranker.pt2"


def request(items):
    random = np.random.default_rng(items)
    return {"dense": random.standard_normal((items, 4), np.float32), "ids": random.integers(0, 10, (items, 2))}


def artifact(folder):
    return Artifact(folder / "model.pt2", "fp32", INPUTS, OUTPUTS)


def expected(module, asked):
    with torch.inference_mode():
        answers = module(*map(torch.from_numpy, asked.values()))
    return {name: x.float().numpy() for name, x in zip(OUTPUTS, answers, strict=True)}
