"""What a proof gives back: the claim, the bar it must clear, what was measured, and the raw figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """One line of the table. `held` says whether the measured figure clears the bar."""

    claim: str
    bar: str
    measured: str
    held: bool
    figures: Mapping[str, Figure] = field(default_factory=dict)
