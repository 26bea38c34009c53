"""`prune-heads`: structured pruning of attention heads. Query, key, value and output layers are rebuilt smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PruneHeads(Technique):
    """Remove the `ratio` of every attention's heads that the others can best stand in for on example requests.

    The output layer's weights and bias are adapted to do without them (see surgeon.py). At least one head stays.
    Michel et al., Are Sixteen Heads Really Better than One?, NeurIPS 2019.
    """

    name: ClassVar[str] = "prune-heads"
    about: ClassVar[str] = "remove whole attention heads; the layers become smaller"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same model with fewer heads."""
        from bakeoff.variants.observing import moments
        from bakeoff.variants.structure import attentions, removed
        from bakeoff.variants.surgeon import remove

        found = attentions(module)
        if not found:
            raise Unsupported("no heads to remove: the model has no attention")
        heads = [attention.heads for attention in found]
        going = removed("heads", heads, self.ratio)
        seen = moments(module, [attention.out for attention in found], bench) if any(going) else {}
        for attention, count in zip(found, going, strict=True):
            if count:
                attention.keep(remove(attention.out, seen[attention.out], count, attention.width))
        bench.facts["heads"] = f"{sum(heads) - sum(going)} of {sum(heads)}"
        return bench.finetuned(module, self.finetune)
