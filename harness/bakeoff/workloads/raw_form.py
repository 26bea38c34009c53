"""What requests hold before their features are prepared, as a prepared folder's manifest tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.backends import Tensor


@dataclass(frozen=True, slots=True)
class RawForm:
    """The inputs of a raw request, and the `Preparation` ("package.module:Class") that turns it into the model's.

    `search` are the folders in which its module is looked for first.
    """

    target: str
    inputs: tuple[Tensor, ...]
    search: tuple[str, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> RawForm:
        """The form that `dataclasses.asdict` wrote."""
        return cls(stored["target"], tensors_of(stored["inputs"]), tuple(stored["search"]))


def tensors_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    """The tensors that `dataclasses.asdict` wrote."""
    return tuple(Tensor(entry["name"], entry["dtype"], tuple(entry["shape"]), entry["per"]) for entry in stored)
