"""The source of a small workload of one's own: torch, trained in no time, with a training of its own to offer."""

SHOP = '''
import numpy as np
import torch
from bakeoff.backends import Tensor
from bakeoff.workloads.workload import HeldOut, Trained, Workload, chunks


class Ranker(torch.nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.table = torch.nn.Embedding(40, 4)
        self.layers = torch.nn.Sequential(torch.nn.Linear(7, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

    def forward(self, x, ids):
        return torch.sigmoid(self.layers(torch.cat([x, self.table(ids)], dim=1)))[:, 0]


class Shop(Workload):
    """What a reader of the README writes."""

    name = "shop"
    licence = "ours"
    inputs = (Tensor("x", "float32", (None, 3)), Tensor("ids", "int64", (None,)))
    outputs = ("click",)
    judged = "click"
    metrics = ("auc", "logloss")

    def train(self, seed, cache, progress):
        torch.manual_seed(seed)
        progress("training the shop")
        module = Ranker()
        self.fit(module, 1.0, seed, cache, progress)
        return Trained(module.eval(), {"clicks": np.int64(3)})

    def fit(self, module, share, seed, cache, progress, teacher=None):
        adam = torch.optim.Adam(module.parameters(), 0.02)
        for step in range(round(60 * share)):
            x, ids, label = self._batch(np.random.default_rng([seed, 5, step]), 256)
            adam.zero_grad()
            torch.nn.functional.binary_cross_entropy(module(torch.tensor(x), torch.tensor(ids)), label).backward()
            adam.step()

    def student(self, size):
        return Ranker(max(1, round(32 * size)))

    def _batch(self, rng, count):
        x, ids = rng.normal(size=(count, 3)).astype(np.float32), rng.integers(0, 40, count)
        chance = 1 / (1 + np.exp(-(x[:, 0] * 2 + np.sin(3 * x[:, 1]) + (ids % 5 - 2))))
        return x, ids, torch.tensor((rng.random(count) < chance).astype(np.float32))

    def requests(self, rows, seed, cache, progress):
        x, ids, _ = self._batch(np.random.default_rng([seed, 1]), int(rows.sum()))
        return {"x": x, "ids": ids}

    def held_out(self, chunk, seed, cache, progress):
        x, ids, label = self._batch(np.random.default_rng([seed, 2]), 4000)
        return HeldOut({"x": x, "ids": ids}, chunks(4000, chunk), labels=label.numpy())
'''
