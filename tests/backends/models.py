"""Three models as torch modules, written as .pt2 and .onnx by `python models.py FOLDER` (a child, as torch needs one).

A DLRM with a request's history, a transformer over titles with padding, and a small network over images with in-place
activations and batch norm: what search, recommendation and ads serve.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

ROWS = 500
INPUTS = {
    "dlrm": lambda n, rng: {
        "dense": rng.standard_normal((n, 13), np.float32),
        "ids": rng.integers(0, ROWS, (n, 4)),
        "history": rng.integers(0, ROWS, (1, 10)),
    },
    "titles": lambda n, rng: {
        "tokens": rng.integers(0, ROWS, (n, 12)),
        "mask": (np.arange(12) < rng.integers(3, 13, (n, 1))).astype(np.int64),
    },
    "images": lambda n, rng: {"image": rng.standard_normal((n, 3, 16, 16), np.float32)},
}
OUTPUTS = {"dlrm": ("score",), "titles": ("vector", "score"), "images": ("vector",)}
BATCH_SIZES = (1, 2, 7, 100)


def request(name, items, seed=0):
    return INPUTS[name](items, np.random.default_rng((items, seed)))


def modules():
    import torch
    from torch import nn
    from torch.nn import functional

    class Dlrm(nn.Module):
        def __init__(self):
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(ROWS, 16) for _ in range(5))
            self.bottom = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
            self.top = nn.Sequential(nn.Linear(31, 32), nn.ReLU(), nn.Linear(32, 1))
            self.register_buffer("pairs", torch.triu_indices(6, 6, 1))

        def forward(self, dense, ids, history):
            bottom = self.bottom(dense)
            past = self.tables[4](history).mean(1).expand(dense.shape[0], -1)
            vectors = torch.stack([bottom, past, *(self.tables[k](ids[:, k]) for k in range(4))], 1)
            dots = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
            return torch.sigmoid(self.top(torch.cat([bottom, dots], 1)))[:, 0]

    class Titles(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(ROWS, 32)
            self.parts = nn.ModuleDict({name: nn.Linear(32, 32) for name in "qkvo"})
            self.wide, self.narrow = nn.Linear(32, 64), nn.Linear(64, 32)
            self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 1)

        def forward(self, tokens, mask):
            x = self.embed(tokens)
            bias = (1 - mask[:, None, None, :].float()) * -1e4
            q, k, v = (self.parts[name](x).view(x.shape[0], 12, 2, 16).transpose(1, 2) for name in "qkv")
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            x = self.norm(x + self.parts["o"](attended.transpose(1, 2).reshape(x.shape[0], 12, 32)))
            x = x + self.narrow(functional.gelu(self.wide(x)))
            weight = mask.float()[:, :, None]
            vector = (x * weight).sum(1) / weight.sum(1)
            return functional.normalize(vector, dim=1), self.head(vector)[:, 0]

    images = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 32),
        nn.ReLU(inplace=True),
        nn.Linear(32, 8),
    )
    return {"dlrm": Dlrm(), "titles": Titles(), "images": images}


def main(folder):
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(1)
    items = torch.export.Dim("items", min=1, max=4096)
    for name, module in modules().items():
        arguments = {key: torch.from_numpy(values) for key, values in request(name, 3).items()}
        shapes = tuple({0: items} if len(values) == 3 else {} for values in arguments.values())
        program = torch.export.export(module.eval(), tuple(arguments.values()), dynamic_shapes=shapes)
        torch.export.save(program, folder / f"{name}.pt2")
        torch.onnx.export(
            program,
            f=folder / f"{name}.onnx",
            input_names=list(arguments),
            output_names=list(OUTPUTS[name]),
            external_data=False,
            verbose=False,
        )
        answers = {}
        for size in BATCH_SIZES:
            with torch.inference_mode():
                answer = module(*(torch.from_numpy(values) for values in request(name, size).values()))
            tensors = answer if isinstance(answer, tuple) else (answer,)
            answers |= {f"{key}-{size}": x.numpy() for key, x in zip(OUTPUTS[name], tensors, strict=True)}
        np.savez(folder / f"{name}.npz", **answers)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
