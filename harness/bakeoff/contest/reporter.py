"""What the contest tells whoever watches; `show.console` tells a terminal, `Silent` nobody."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Reporter(Protocol):
    """Hears how the contest goes on. Nothing may be drawn while `quiet()` is entered: a block is being measured."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""

    def candidate(self, candidate: str, stage: str, outcome: str, reason: str = "") -> None:
        """A candidate ended a stage."""

    def measuring(self, what: str, seconds_left: float | None) -> None:
        """`what` is measured next; `seconds_left` of the budget remain, None where there is no budget."""

    def quiet(self) -> AbstractContextManager[None]:
        """Entered around every measured block."""


class Silent:
    """A reporter that says nothing."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def candidate(self, candidate: str, stage: str, outcome: str, reason: str = "") -> None:
        """Say nothing."""

    def measuring(self, what: str, seconds_left: float | None) -> None:
        """Say nothing."""

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing is ever drawn."""
        return nullcontext()
