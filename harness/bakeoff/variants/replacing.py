"""How a technique puts its own layers in the place of a model's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    Layer = TypeVar("Layer", bound=nn.Module)


def replaced(
    module: nn.Module, kind: type[Layer], make: Callable[[str, Layer], nn.Module | None]
) -> dict[str, nn.Module]:
    """Put what `make` gives for a layer of exactly `kind` and its path in its place; the new layers by path.

    None leaves the layer. So do a subclass of `kind`, whose owner may rely on it, and a weight that another layer holds
    too: it would stay there whole. A layer that stands in several places is made once and stays shared.
    """
    made: dict[Layer, nn.Module | None] = {}
    new: dict[str, nn.Module] = {}
    for path, layer in replaceable(module, kind).items():
        if layer not in made:
            made[layer] = make(path, layer)
        small = made[layer]
        if small is not None:
            module.set_submodule(path, small)
            new[path] = small
    return new


def replaceable(module: nn.Module, kind: type[Layer]) -> dict[str, Layer]:
    """The layers of exactly `kind` that hold their weight alone, by path; one in several places has several paths."""
    tied = _tied(module)
    return {
        path: layer
        for path, layer in module.named_modules(remove_duplicate=False)
        if type(layer) is kind and path and id(layer.weight) not in tied
    }


def _tied(module: nn.Module) -> set[int]:
    """The ids of the weights that several layers hold."""
    held = Counter(id(weight) for layer in module.modules() for weight in layer.parameters(recurse=False))
    return {weight for weight, holders in held.items() if holders > 1}


def table_of(weight: Tensor) -> nn.Embedding:
    """An embedding with these rows, to be trained on."""
    from torch import nn

    return nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
