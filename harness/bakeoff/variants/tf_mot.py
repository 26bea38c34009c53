"""`tfmot-prune`, `tfmot-cluster`, `tfmot-qat`: TensorFlow Model Optimization's algorithms on a torch model's layers.

TF-MOT runs in an environment of its own. It gets each linear layer with rows that the layer reads in the model, and
trains it alone to answer them as before while it prunes, clusters or quantises: no label is seen, and no other layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_codes, require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class TfMotPrune(Technique):
    """Zero the `ratio` of each linear layer's weights, the smallest first, ever more of them as the layer is trained.

    `prune_low_magnitude` with a polynomial schedule: Zhu and Gupta, To Prune, or Not to Prune, 2017. As with `prune`,
    the zeros stay in a dense tensor, so no dense engine gains.
    """

    name: ClassVar[str] = "tfmot-prune"
    about: ClassVar[str] = "TF-MOT's pruning of each linear layer, trained meanwhile on what it reads"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio, zero=False)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The same layers with zeros in them; fine-tuning keeps the zeros."""
        from bakeoff.variants.masks import pruned
        from bakeoff.variants.tf_mot_layers import remade

        made = remade(module, "prune", self.ratio, bench)
        for layer, numbers in made.items():
            numbers.put_into(layer)
        return pruned(module, {layer: numbers.weight != 0 for layer, numbers in made.items()}, bench, self.finetune)


@dataclass(frozen=True, slots=True)
class TfMotCluster(Technique):
    """Let each linear layer's weights take `values` values, which are trained with it, and store codes of a byte.

    `cluster_weights` from k-means++. The result is kept as `share` keeps its own: a smaller file, no faster model.
    """

    name: ClassVar[str] = "tfmot-cluster"
    about: ClassVar[str] = "TF-MOT's weight clustering of each linear layer: a smaller file, no faster model"
    example: ClassVar[str] = "16"
    values: int
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_codes("values", self.values)
        require_finetune(self.finetune)

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The layers whose codes and codebook are smaller than their weights clustered; fine-tuning moves values."""
        from torch import nn

        from bakeoff.variants.replacing import replaced
        from bakeoff.variants.shared import SharedLinear, clustered, gains
        from bakeoff.variants.tf_mot_layers import remade

        made = remade(module, "cluster", self.values, bench)

        def shared(_: str, layer: nn.Linear) -> SharedLinear | None:
            numbers = made.get(layer)
            if numbers is None or not gains(layer.weight, self.values):
                return None
            numbers.put_into(layer)
            return SharedLinear(*clustered(layer.weight, self.values), layer.bias)

        if not replaced(module, nn.Linear, shared):
            raise Unsupported("nothing to cluster: the model has no linear layer that a codebook would make smaller")
        return bench.finetuned(module, self.finetune)


@dataclass(frozen=True, slots=True)
class TfMotQat(Technique):
    """Train each linear layer with its kernel, input and answer rounded to 8 bits, and keep its weights on their grid.

    What comes back is a model of float32: each output's weights are -127 to 127 times a step of its own, so that an
    int8 precision with symmetric steps per output rounds nothing more off them. Activations are the precision's affair,
    and the layers are trained apart from each other: this is no quantisation-aware training of the whole model.
    """

    name: ClassVar[str] = "tfmot-qat"
    about: ClassVar[str] = "TF-MOT's quantisation-aware training of each linear layer, for an int8 precision after it"

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The same layers with weights on a grid of 8 bits."""
        from bakeoff.variants.tf_mot_layers import remade

        for layer, numbers in remade(module, "qat", 8, bench).items():
            numbers.put_into(layer)
        return module.eval()
