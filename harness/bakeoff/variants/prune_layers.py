"""`prune-layers`: structured pruning of whole blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


@dataclass(frozen=True, slots=True)
class PruneLayers(Technique):
    """Remove the `ratio` of a model's blocks, one after the other that whose absence does the least damage.

    The damage is the rise of the workload's loss, or the error of the output on example requests where there is no
    loss. At least one block stays. Sajjad et al., On the Effect of Dropping Layers of Pre-trained Transformer Models,
    2023.
    """

    name: ClassVar[str] = "prune-layers"
    about: ClassVar[str] = "remove whole blocks"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same model with fewer blocks."""
        from bakeoff.variants.damage import damage
        from bakeoff.variants.structure import removed, stacks

        found = stacks(module)
        if not found:
            raise Unsupported("no layers to remove: the model has no stack of blocks")
        depths = [len(blocks) for blocks in found.values()]
        going = removed("layers", depths, self.ratio)
        if any(going):
            measure, _ = damage(module, bench)
            for (name, blocks), count in zip(found.items(), going, strict=True):
                bench.progress(f"removing {count} of {len(blocks)} layers of {name}")
                bench.facts[f"layers.{name}"] = ", ".join(map(str, _shortened(blocks, count, measure)))
        return bench.finetuned(module, self.finetune)


def _shortened(blocks: torch.nn.ModuleList, count: int, measure: Callable[[], float]) -> list[int]:
    """Remove `count` blocks, in place; returns the numbers of those that stay."""
    stay = list(range(len(blocks)))
    for _ in range(count):
        least = min(range(len(blocks)), key=lambda place: _damage_without(blocks, place, measure))
        del blocks[least], stay[least]
    return stay


def _damage_without(blocks: torch.nn.ModuleList, place: int, measure: Callable[[], float]) -> float:
    block = blocks[place]
    del blocks[place]
    try:
        return measure()
    finally:
        blocks.insert(place, block)
