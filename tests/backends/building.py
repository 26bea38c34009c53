"""`python building.py BACKEND MODEL PRECISION FOLDER`: build a small program that engines take, or stumble over.

Prints the refusal, or the largest difference from torch's answers to requests of sizes built and not.
"""

import sys
import warnings
from pathlib import Path

import numpy as np

from bakeoff.backends import Model, Resources, Tensor, Unsupported, create


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
        "singular-values": module(lambda x: torch.linalg.svdvals(x.reshape(-1, 2, 2)).sum(-1)),
        "softmax-over-items": module(lambda x: torch.softmax(x, 0)),
        "linear": torch.nn.Linear(4, 4).eval(),
    }


def request(name, items):
    random = np.random.default_rng(items)
    given = (
        random.integers(0, 2**31, (items, 2)) if name == "hashed" else random.standard_normal((items, 4), np.float32)
    )
    return {"x": given}


def main(target, name, precision, folder):
    import torch

    module, samples = modules()[name], [request(name, items) for items in (2, 3)]
    x = torch.from_numpy(samples[1]["x"])
    items = torch.export.Dim("items", min=1, max=4096)
    torch.export.save(torch.export.export(module, (x,), dynamic_shapes=({0: items},)), folder / "given.pt2")
    inputs = (Tensor("x", str(samples[1]["x"].dtype), (None, *x.shape[1:])),)
    backend = create(target)
    setting = backend.settings(Resources(1))[0]
    model = Model({"exported": folder / "given.pt2"}, inputs, ("y",), samples)
    try:
        session = backend.load(backend.build(model, precision, setting, "cpu", folder), setting, "cpu")
    except Unsupported as refusal:
        return str(refusal)
    with torch.inference_mode():
        pairs = [
            (session.infer(given)["y"], module(torch.from_numpy(given["x"])).numpy())
            for given in (request(name, items) for items in (1, 2, 3, 10))
        ]
    return max(float(np.abs(answer - expected).max()) for answer, expected in pairs)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    result = main(*sys.argv[1:4], Path(sys.argv[4]))
    sys.stdout.write(f"\n{result}\n")
