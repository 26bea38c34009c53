"""`share`: weight sharing. The weights of a linear layer take a few values, so that a byte tells which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_codes, require_finetune
from bakeoff.variants.replacing import replaced
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Share(Technique):
    """Cluster each linear layer's weights to `values` of them by k-means and store one-byte codes; tables stay.

    The model file shrinks. Speed does not gain: an engine decodes the weights when it loads the model, or each time.
    Fine-tuning moves the shared values. Han et al., Deep Compression, 2016.
    """

    name: ClassVar[str] = "share"
    about: ClassVar[str] = "k-means of each linear layer's weights: a smaller file, no faster model"
    example: ClassVar[str] = "16"
    values: int
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_codes("values", self.values)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The layers whose codes and codebook are smaller than their weights shared, the others as they are."""
        from torch import nn

        from bakeoff.variants.shared import SharedLinear, clustered, gains

        def make(_: str, layer: nn.Linear) -> SharedLinear | None:
            if not gains(layer.weight, self.values):
                return None
            return SharedLinear(*clustered(layer.weight, self.values), layer.bias)

        shared = replaced(module, nn.Linear, make)
        if not shared:
            raise Unsupported("nothing to share: the model has no linear layer that a codebook would make smaller")
        bench.facts["shared"] = ", ".join(shared)
        bench.facts["decoded"] = "by the engine, at load where it folds constants: the file gains, the speed does not"
        return bench.finetuned(module, self.finetune)
