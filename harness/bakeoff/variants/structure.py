"""Finds what can be cut out of a model by its structure, not by its class, and cuts it: the layers become smaller.

Hidden neurons stand between two linear layers of one nn.Sequential, or between the two of a feed-forward network of
Hugging Face's BERT. Attention heads belong to a module with `query`, `key`, `value` and `out`, or to BERT's. Blocks
stand in an nn.ModuleList called `blocks`, or in BERT's `encoder.layer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from bakeoff.backends import Unsupported

ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Dropout, nn.Identity),
)
"""What may stand between two linear layers: each neuron's output depends on that neuron alone."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Neurons that `inner` computes and `outer` alone reads."""

    inner: nn.Linear
    outer: nn.Linear

    def keep(self, neurons: Tensor) -> None:
        """Make both layers smaller, in place; `neurons` are the numbers of those that stay."""
        _keep_outputs(self.inner, neurons)
        _keep_inputs(self.outer, neurons)


class _Layout(NamedTuple):
    """Where an attention keeps its layers, and how it calls its head count, head width and their product."""

    layers: tuple[str, str, str, str]
    holder: str
    heads: str
    width: str
    product: str | None


_OURS = _Layout(("query", "key", "value", "out"), "", "heads", "head_width", None)
_BERT = _Layout(
    ("self.query", "self.key", "self.value", "output.dense"),
    "self",
    "num_attention_heads",
    "attention_head_size",
    "all_head_size",
)


@dataclass(frozen=True, slots=True)
class Attention:
    """The linear layers around an attention's heads; `out` reads the heads side by side, `width` numbers of each."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    heads: int
    width: int
    holder: nn.Module
    layout: _Layout

    def columns(self, heads: Tensor) -> Tensor:
        """The inputs of `out` that belong to these heads."""
        return (heads[:, None] * self.width + torch.arange(self.width)).flatten()

    def keep(self, heads: Tensor) -> None:
        """Make the four layers smaller, in place, and tell the module how many heads it has."""
        columns = self.columns(heads)
        for layer in (self.query, self.key, self.value):
            _keep_outputs(layer, columns)
        _keep_inputs(self.out, columns)
        setattr(self.holder, self.layout.heads, len(heads))
        if self.layout.product:
            setattr(self.holder, self.layout.product, len(columns))


def hidden(module: nn.Module) -> list[Hidden]:
    """Every set of hidden neurons; a layer that is used in two places is left alone."""
    uses = Counter(layer for _, layer in module.named_modules(remove_duplicate=False))
    found = [*_in_sequentials(module), *_in_bert(module)]
    return [each for each in found if uses[each.inner] == uses[each.outer] == 1]


def attentions(module: nn.Module) -> list[Attention]:
    """Every attention whose heads can be told apart."""
    found = []
    for part in module.modules():
        for layout in (_OURS, _BERT):
            layers = [_linear(part, path) for path in layout.layers]
            query, key, value, out = layers
            if query is None or key is None or value is None or out is None:
                continue
            holder = part.get_submodule(layout.holder)
            heads, width = (getattr(holder, attribute, None) for attribute in (layout.heads, layout.width))
            widths = {query.out_features, key.out_features, value.out_features, out.in_features}
            if isinstance(heads, int) and isinstance(width, int) and widths == {heads * width}:
                found.append(Attention(query, key, value, out, heads, width, holder, layout))
    return found


def stacks(module: nn.Module) -> dict[str, nn.ModuleList]:
    """The lists of blocks by name, each block's output being the next one's input."""
    return {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and f".{name}".endswith((".blocks", ".encoder.layer"))
    }


def removed(what: str, counts: Sequence[int], ratio: float) -> list[int]:
    """How many of each count make the ratio, where at least one must stay; raises Unsupported where none can go."""
    going = [min(round(ratio * count), count - 1) for count in counts]
    if ratio and not any(going):
        raise Unsupported(f"nothing to remove: {ratio:g} of {max(counts)} {what} is less than one, or all there are")
    return going


def linears(module: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers by name."""
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}


def _in_sequentials(module: nn.Module) -> Iterator[Hidden]:
    sequentials = [part for part in module.modules() if _is_sequential(part)]
    within = {child for part in sequentials for child in part.children()}
    for part in sequentials:
        if part not in within:
            parts = [each for each in _flat(part) if not isinstance(each, ELEMENTWISE)]
            for inner, outer in pairwise(parts):
                if isinstance(inner, nn.Linear) and isinstance(outer, nn.Linear):
                    yield Hidden(inner, outer)


def _flat(part: nn.Module) -> Iterator[nn.Module]:
    """What a Sequential calls one after the other, the parts of those within it included."""
    if _is_sequential(part):
        for child in part:
            yield from _flat(child)
    else:
        yield part


def _is_sequential(part: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it does nothing but call its parts in turn."""
    return isinstance(part, nn.Sequential) and type(part).forward is nn.Sequential.forward


def _in_bert(module: nn.Module) -> Iterator[Hidden]:
    for part in module.modules():
        inner, outer = _linear(part, "intermediate.dense"), _linear(part, "output.dense")
        if inner is not None and outer is not None:
            yield Hidden(inner, outer)


def _linear(module: nn.Module, path: str) -> nn.Linear | None:
    try:
        part = module.get_submodule(path)
    except AttributeError:
        return None
    return part if isinstance(part, nn.Linear) else None


def _keep_outputs(layer: nn.Linear, outputs: Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight.detach()[outputs])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[outputs])
    layer.out_features = len(outputs)


def _keep_inputs(layer: nn.Linear, inputs: Tensor) -> None:
    layer.weight = nn.Parameter(layer.weight.detach()[:, inputs])
    layer.in_features = len(inputs)
