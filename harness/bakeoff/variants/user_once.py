"""`user-once`: the user-side tile. What belongs to the user is computed once per request, not once per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bakeoff.variants.technique import Bench, Technique

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class UserOnce(Technique):
    """Rewrite the model so that the user's part comes from a request's first row alone; the answers stay the same.

    Right only where all items of a request have one user. It comes last in a chain: its model cannot be trained.
    """

    name: ClassVar[str] = "user-once"
    about: ClassVar[str] = "what belongs to the user computed once per request, with the same answers"

    def apply(self, module: nn.Module, bench: Bench) -> nn.Module:
        """The same weights in another order of computing."""
        return bench.tile(module).eval()
