"""Small exported programs that engines of fixed shapes take, or stumble over: `model(name, folder)` writes one."""

import warnings

import numpy as np

from bakeoff.backends import Model, Tensor


def modules():
    import torch

    def module(function):
        class Made(torch.nn.Module):
            def forward(self, x):
                return function(x)

        return Made().eval()

    return {
        "doubled": module(lambda x: x + x),
        "hashed": module(lambda x: (x * 2654435761 % 1009).float()),
        "singular values": module(lambda x: torch.linalg.svdvals(x.reshape(-1, 2, 2)).sum(-1)),
        "softmax over items": module(lambda x: torch.softmax(x, 0)),
        "linear": torch.nn.Linear(4, 4).eval(),
    }


def model(name, folder):
    import torch

    random = np.random.default_rng(0)
    samples = [
        {"x": random.integers(0, 2**31, (n, 2)) if name == "hashed" else random.standard_normal((n, 4), np.float32)}
        for n in (2, 3)
    ]
    x, path = torch.from_numpy(samples[1]["x"]), folder / "given.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        items = torch.export.Dim("items", min=1, max=4096)
        torch.export.save(torch.export.export(modules()[name], (x,), dynamic_shapes=({0: items},)), path)
    return Model({"exported": path}, (Tensor("x", str(samples[0]["x"].dtype), (None, *x.shape[1:])),), ("y",), samples)
