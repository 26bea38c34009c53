"""`prune-sensitive`: magnitude pruning with a ratio for each layer, by what pruning that layer alone costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from bakeoff.backends import Unsupported
from bakeoff.variants.parameters import require_finetune, require_share
from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    import torch

TRIED_RATIOS = (0.4, 0.6, 0.8, 0.9, 0.97)

Curve = Mapping[float, float]
"""How much worse the model gets by the ratio of one layer's weights that are zeroed."""


@dataclass(frozen=True, slots=True)
class PruneSensitive(Technique):
    """Zero the `ratio` of all linear weights, more of them in layers that bear it and fewer in those that do not.

    Each layer is pruned alone at several ratios, and the rises are taken to add up. As with `prune`, the zeros stay in
    a dense tensor, so no dense engine gains. Han et al., 2015, section 4.
    """

    name: ClassVar[str] = "prune-sensitive"
    about: ClassVar[str] = "zero the smallest weights, fewest in the layers where it costs most"
    ratio: float
    finetune: float = 0.0

    def __post_init__(self) -> None:
        require_share("ratio", self.ratio)
        require_finetune(self.finetune)

    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The same layers with zeros in them; `bench.facts` take the sensitivities and each layer's ratio."""
        from bakeoff.variants.masks import largest, pruned
        from bakeoff.variants.structure import linears

        layers = linears(module)
        if not layers:
            raise Unsupported("nothing to prune: the model has no linear layer")
        if not self.ratio:
            return pruned(module, {}, bench, self.finetune)
        curves = sensitivities(module, layers, sorted({*TRIED_RATIOS, self.ratio}), bench)
        ratios = allotted(curves, {name: layer.weight.numel() for name, layer in layers.items()}, self.ratio)
        bench.facts.update({f"ratio.{name}": round(ratio, 4) for name, ratio in ratios.items()})
        masks = {layer: largest(layer.weight, ratios[name]) for name, layer in layers.items()}
        return pruned(module, masks, bench, self.finetune)


def sensitivities(
    module: torch.nn.Module, layers: Mapping[str, torch.nn.Linear], ratios: list[float], bench: Bench
) -> dict[str, Curve]:
    """The damage of each layer pruned alone at each ratio, by the layer's name."""
    from bakeoff.variants.damage import damage
    from bakeoff.variants.masks import largest, zero

    measure, what = damage(module, bench)
    bench.facts["sensitivity"] = what
    curves: dict[str, Curve] = {}
    for place, (name, layer) in enumerate(layers.items()):
        bench.progress(f"sensitivity of layer {place + 1} of {len(layers)}")
        whole, curve = layer.weight.detach().clone(), dict[float, float]()
        for ratio in ratios:
            zero({layer: largest(whole, ratio)})
            curve[ratio] = measure()
            bench.facts[f"sensitivity.{name}@{ratio:g}"] = float(f"{curve[ratio]:.4g}")
            layer.weight.data.copy_(whole)
        curves[name] = curve
    return curves


def allotted(curves: Mapping[str, Curve], sizes: Mapping[str, int], ratio: float) -> dict[str, float]:
    """The ratio of each layer, `ratio` over all by size, with the least sum of damages along the curves' convex hulls.

    The hulls' pieces are taken by damage per weight, the cheapest first, until there are enough: optimal, as the pieces
    of one convex curve come in the order of its ratios.
    """
    pieces = sorted(
        (rise / (span * sizes[name]), name, start, span)
        for name, curve in curves.items()
        for start, span, rise in hull(curve)
    )
    ratios, left = dict.fromkeys(curves, 0.0), ratio * sum(sizes.values())
    for _, name, _, span in pieces:
        taken = min(span, left / sizes[name])
        ratios[name] += taken
        left -= taken * sizes[name]
    return ratios


def hull(curve: Curve) -> list[tuple[float, float, float]]:
    """The lower convex hull of a curve that begins at (0, 0), as pieces (first ratio, span of ratios, rise)."""
    points = [(0.0, 0.0)]
    for ratio, rise in sorted(curve.items()):
        while len(points) > 1 and _slope(points[-2], (ratio, rise)) <= _slope(points[-2], points[-1]):
            points.pop()
        points.append((ratio, rise))
    return [(x, next_x - x, next_y - y) for (x, y), (next_x, next_y) in pairwise(points)]


def _slope(one: tuple[float, float], other: tuple[float, float]) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])
