"""What the machine did while a block ran, as far as it is seen from outside the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bakeoff.measure.block import Fact
from bakeoff.measure.energy import Energy
from bakeoff.measure.host import Pressure


@dataclass(frozen=True, slots=True)
class Witness:
    """The counters at the start of a block."""

    pressure: Pressure
    energy: Energy

    @classmethod
    def now(cls, device: str) -> Self:
        """Read them."""
        return cls(Pressure.now(), Energy.now(device))

    def since(self) -> dict[str, Fact]:
        """The block's facts: psi and steal as shares of the time, energy_j and energy_source where readable."""
        return {**self.pressure.since(), **self.energy.since()}
