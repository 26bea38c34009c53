"""What paired measurements come to, and whether they clear the bars."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

Pairs = Sequence[tuple[float, float]]

BARE_RATIO, BARE_US = 1.10, 5.0
KNOB_RATIO = NEIGHBOURS_RATIO = 1.05
LARGEST_ERROR = 1e-3
CALLERS_RATIO = 1.5
"""Above which two callers are said to use both cores."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One thing's figure over another's: the median of the repeats, with a 95 % interval of that median (the range of
    the repeats where they are too few for one)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Pairs) -> Ratio:
        """From repeats of (its figure, the other's)."""
        ratios = sorted(one / other for one, other in pairs)
        out = int(stats.binom.ppf(0.025, len(ratios), 0.5))  # so many repeats are left out at each end
        return cls(statistics.median(ratios), ratios[max(out - 1, 0)], ratios[min(len(ratios) - out, len(ratios) - 1)])

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Beside:
    """A plugin beside the engine's bare loop: repeats of (plugin's p50, loop's p50), in microseconds."""

    pairs: Pairs

    @property
    def ratio(self) -> Ratio:
        """The plugin's p50 over the loop's."""
        return Ratio.of(self.pairs)

    @property
    def added_us(self) -> float:
        """What the plugin adds: the median of the differences."""
        return statistics.median(plugin - bare for plugin, bare in self.pairs)

    @property
    def held(self) -> bool:
        """Within the larger of the two allowances."""
        return self.ratio.value <= BARE_RATIO or self.added_us <= BARE_US

    def __str__(self) -> str:
        plugin, bare = (statistics.median(column) for column in zip(*self.pairs, strict=True))
        added = f"{self.added_us:+,.1f} us"
        return f"{plugin:,.0f} / {bare:,.0f}: {self.ratio}, {added}{'' if self.held else ' **missed**'}"
