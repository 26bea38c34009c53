"""A model's signature as a server tells it, held against the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.backends import Model, Tensor, Unsupported

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs by name, each with its numpy dtype's name and shape (None for a free axis; None for all of it where the
    server does not say), and the outputs' names. Nothing told is nothing held against it."""

    inputs: Mapping[str, tuple[str, Shape | None]]
    outputs: tuple[str, ...]

    def require(self, model: Model, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Raise Unsupported with what differs; the mappings hold the server's names where they are others."""
        for tensor in model.inputs if self.inputs else ():
            self._require_input(tensor, inputs.get(tensor.name, tensor.name))
        for name in model.outputs if self.outputs else ():
            theirs = outputs.get(name, name)
            if theirs not in self.outputs:
                given = f"the server's model gives no output {theirs}, it gives {', '.join(self.outputs)}"
                raise Unsupported(f"{given}; say in outputs which is the model's {name}")

    def _require_input(self, tensor: Tensor, theirs: str) -> None:
        if theirs not in self.inputs:
            taken = f"the server's model takes no input {theirs}, it takes {', '.join(self.inputs)}"
            raise Unsupported(f"{taken}; say in inputs which is the model's {tensor.name}")
        dtype, shape = self.inputs[theirs]
        if dtype != _kind(tensor.dtype):
            raise Unsupported(f"the server takes {theirs} as {dtype}, the model as {_kind(tensor.dtype)}")
        if shape is not None and not _fits(tensor.shape, shape):
            raise Unsupported(f"the server takes {theirs} as {_words(shape)}, the model as {_words(tensor.shape)}")


def _kind(dtype: str) -> str:
    """Text of any length is one kind."""
    return "text" if dtype.startswith(("str", "<U", "|S", "object", "bytes")) else dtype


def _fits(wanted: Shape, offered: Shape) -> bool:
    """Whether every size that the model may have is one that the server takes."""
    same_rank = len(wanted) == len(offered)
    return same_rank and all(theirs is None or theirs == ours for ours, theirs in zip(wanted, offered, strict=True))


def _words(shape: Shape) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
