"""`python operators.py TABLE_MODULE`: every operator of a table, on one program of many answers, against torch.

Prints {"wrong": {answer: what is wrong}, "untried": [operators of the table that the program lacks]} as JSON.
"""

import importlib
import json
import sys
import warnings

import numpy as np

from bakeoff.backends import Unsupported


def answers(x, y, n, m, b, image):
    """x, y: floats [items, 6]; n, m: int64 and uint8 [items, 6]; b: bool [items, 6]; image [items, 3, 8, 8]."""
    import torch
    from torch.nn import functional as f

    items = x.shape[0]
    weight, table = torch.linspace(-1, 1, 24).view(4, 6), torch.linspace(-2, 2, 60).view(10, 6)
    kernel = torch.linspace(-1, 1, 5 * 3 * 9).view(5, 3, 3, 3)
    places = (n % 6).abs()
    yield from {
        "add": (x + y, x + 2, n + x, torch.add(x, y, alpha=3), n + m),
        "sub": (x - y, 1 - x, torch.sub(x, y, alpha=2), torch.rsub(x, y, alpha=2), n - m),
        "mul": (x * y, n * 0.5, b * x),
        "div": (x / y, n / 4, torch.div(n, 4, rounding_mode="floor"), torch.div(n, 4, rounding_mode="trunc")),
        "div floats": (torch.div(x, y, rounding_mode="floor"), torch.div(x, y, rounding_mode="trunc"), n // 3),
        "remainder": (n % 4, x % 0.7, torch.fmod(n, 4), torch.fmod(x, 0.7), n % -3),
        "pow": (x.abs() ** 1.5, x**2, n**2, 2.0**x),
        "two": (torch.maximum(x, y), torch.minimum(x, y), torch.maximum(n, m)),
        "compare": (x == y, x != 0, x < y, x <= 0.5, x > n, n >= 2),
        "where": (torch.where(b, x, y), torch.where(x > 0, x, 0.0), torch.where(b, n, x), x.masked_fill(b, -9.0)),
        "bits": (
            m & 15,
            m | 3,
            m ^ 5,
            m >> 4,
            m << 1,
            ~m,
            torch.bitwise_left_shift(m, m & 1),
            torch.bitwise_right_shift(m, m & 3),
            b & (x > 0),
            b | (x > 0),
            b ^ (x > 0),
            ~b,
        ),
        "logic": (torch.logical_and(b, x > 0), torch.logical_or(b, n > 0), torch.logical_not(n)),
        "one": (-x, x.abs(), x.floor(), x.ceil(), x.round(), x.trunc(), x.sign(), n.abs(), -n),
        "roots": (x.abs().sqrt(), (x.abs() + 1).rsqrt(), y.reciprocal()),
        "exps": (x.exp(), x.expm1(), (x.abs() + 1).log(), x.abs().log1p(), x.sin(), x.cos(), x.tanh(), x.erf()),
        "activations": (f.relu(x), f.leaky_relu(x, 0.2), f.gelu(x), f.gelu(x, approximate="tanh"), f.silu(x)),
        "more activations": (x.sigmoid(), n.sigmoid(), f.softplus(x), f.elu(x), f.hardtanh(x), f.relu(n)),
        "clamp": (x.clamp(-0.5, 0.5), x.clamp(min=0.1), x.clamp(max=0.1), n.clamp(-2, 2)),
        "odd": ((x / 0).isinf(), (x - x / 0 * 0).isnan()),
        "products": (f.linear(x, weight), f.linear(x, weight, weight[:, 0]), x @ x.T, x[:, :, None] @ y[:, None, :]),
        "deep products": (f.linear(image, torch.linspace(-1, 1, 16).view(2, 8)), torch.addmm(x, x, table[:6], beta=2)),
        "attention": (
            f.scaled_dot_product_attention(image, image, image),
            f.scaled_dot_product_attention(image, image, image, image[:, :1] > 0),
            f.scaled_dot_product_attention(image, image, image, is_causal=True),
        ),
        "convolution": (f.conv2d(image, kernel, kernel[:, 0, 0, 0], 2, 1), f.conv2d(image, kernel, dilation=2)),
        "pool": (f.max_pool2d(image, 3, 2, 1), f.adaptive_avg_pool2d(image, 1), image.mean((2, 3))),
        "norms": (
            f.layer_norm(x, (6,), y[0], y[1]),
            f.layer_norm(x, (6,)),
            f.batch_norm(image, y[0, :3], y[1, :3].abs() + 1, y[0, 3:], y[1, 3:]),
            f.batch_norm(image, y[0, :3], y[1, :3].abs() + 1),
            torch.linalg.vector_norm(x, 2, 1),
            torch.linalg.vector_norm(x, 3, 1, keepdim=True),
            f.normalize(x, dim=1),
        ),
        "softmax": (x.softmax(1), x.log_softmax(0)),
        "sums": (x.sum(1), x.sum(), n.sum(0), b.sum(1, keepdim=True), m.sum(1), x.mean(), x.mean(0, keepdim=True)),
        "extremes": (x.amax(1), x.amin((0, 1)), b.any(1), (x > 0).any(), b.all(1), x.argmax(1), x.cumsum(1), x.var(1)),
        "rows": (f.embedding(places, table), table[places], table.index_select(0, places[:, 0]), x.gather(1, places)),
        "index": (x[:, [0, -1]], image[:, [0, 2], [1, -1]], image[torch.arange(items), places[:, 0] % 3], x[..., [2]]),
        "parts": (x[:, 1:4], x[:, -1], x[1:], x[:, ::2], x[:-1], image[:, 1, 2:, -3:], *x.split([1, 2, 3], 1)),
        "together": (torch.cat([x, y], 1), torch.cat([x, y]), torch.stack([x, y], 1), *x.chunk(2, 1)),
        "views": (x.view(-1, 3), x.reshape(items, 2, 3), x.T, image.permute(0, 2, 3, 1), image.flatten(1), x.flip(1)),
        "axes": (
            x[:, None],
            x[:, None].squeeze(1),
            image[:, :1].squeeze(),
            x[:, None].expand(-1, 3, -1),
            x.repeat(1, 2),
        ),
        "made": (
            torch.arange(items) + n[:, 0],
            torch.zeros(items, 2) + 1,
            torch.full((items, 2), 3, dtype=torch.int64),
            torch.full_like(x, 2.5) * x,
            x.new_ones(items),
            torch.ones_like(n),
        ),
        "types": (x.to(torch.int64), n.float(), b.int(), x.double(), m.to(torch.int32), x.bool()),
    }.items()


def inputs(items):
    random = np.random.default_rng(items)
    shape = (items, 6)
    return (
        random.standard_normal(shape, np.float32),
        random.standard_normal(shape, np.float32),
        random.integers(-9, 9, shape),
        random.integers(0, 255, shape).astype(np.uint8),
        random.integers(0, 2, shape).astype(bool),
        random.standard_normal((items, 3, 8, 8), np.float32),
    )


def main(table_module):
    import torch

    from bakeoff_backends import aten_graph

    if table_module.endswith("jax"):
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    table = importlib.import_module(table_module)

    def tensor(values):
        return table.TABLE["cast"](values, values.dtype.name)

    names = []

    class Many(torch.nn.Module):
        def forward(self, *given):
            found = [(name, part) for name, parts in answers(*given) for part in parts]
            names[:] = [name for name, _ in found]
            return tuple(part for _, part in found)

    example = tuple(map(torch.from_numpy, inputs(5)))
    free = {0: torch.export.Dim("items", min=3, max=4096)}
    program = torch.export.export(Many(), example, dynamic_shapes=((free,) * len(example),))
    graph = aten_graph.read(program)
    wrong = {}
    given = inputs(7)
    expected = Many()(*map(torch.from_numpy, given))
    tried = {step.operator.partition(".")[0] for step in graph.steps}
    try:
        graph.require(table.TABLE)
        found = graph.walk(table.TABLE, tuple(map(tensor, given)), {k: tensor(v) for k, v in graph.constants.items()})
    except Unsupported as refusal:
        return {"wrong": {"all": str(refusal)}, "untried": []}
    for number, (name, one, other) in enumerate(zip(names, found, expected, strict=True)):
        one, other = np.asarray(one), other.numpy()
        if one.dtype != other.dtype or one.shape != other.shape:
            wrong[f"{name} {number}"] = f"{one.dtype}{one.shape} for {other.dtype}{other.shape}"
        elif not np.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True):
            wrong[f"{name} {number}"] = f"off by {np.abs(one.astype(float) - other).max():.2g}"
    return {"wrong": wrong, "untried": sorted(set(table.TABLE) - tried - {"cast"})}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    result = main(sys.argv[1])
    sys.stdout.write("\n" + json.dumps(result) + "\n")
