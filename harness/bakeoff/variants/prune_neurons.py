"""`prune-neurons`: structured pruning of hidden neurons. The layers on both sides are rebuilt smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PruneNeurons(Technique):
    """Remove the `ratio` of every hidden layer's neurons that the others can best stand in for on example requests.

    The next layer's weights and bias are adapted to do without them (see surgeon.py). At least one neuron stays.
    """

    name: ClassVar[str] = "prune-neurons"
    about: ClassVar[str] = "remove whole hidden neurons; the layers become smaller"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same model with narrower hidden layers."""
        from bakeoff.variants.observing import moments
        from bakeoff.variants.structure import hidden, removed
        from bakeoff.variants.surgeon import remove

        layers = hidden(module)
        if not layers:
            raise Unsupported("no neurons to remove: the model has no hidden layer between two linear layers")
        widths = [layer.inner.out_features for layer in layers]
        going = removed("neurons", widths, self.ratio)
        seen = moments(module, [layer.outer for layer in layers], bench) if any(going) else {}
        for place, (layer, count) in enumerate(zip(layers, going, strict=True)):
            if count:
                bench.progress(f"removing neurons of layer {place + 1} of {len(layers)}")
                layer.keep(remove(layer.outer, seen[layer.outer], count))
        bench.facts["hidden_neurons"] = f"{sum(widths) - sum(going)} of {sum(widths)}"
        return bench.finetuned(module, self.finetune)
