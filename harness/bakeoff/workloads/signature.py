"""The inputs and outputs of an ONNX file: their types and shapes, and which axis counts the items of a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from bakeoff.backends import Tensor
from bakeoff.errors import UserError

FREE_AXIS = 32
"""The length of a free axis that counts no items: a history, a text."""
IMAGE_SIDE = 224
IMAGE_CHANNELS = 3

Reading = Literal["all", "one"]

Axis = int | str | None
"""A fixed length, the symbol of a free one, or None for a free one without a symbol."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output as the file declares it."""

    name: str
    dtype: str
    axes: tuple[Axis, ...]

    @property
    def leading(self) -> Axis:
        """The first axis; 0 for a scalar."""
        return self.axes[0] if self.axes else 0


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs as requests fill them; `sizes` are the lengths of the free axes that count no items, by input and axis."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    sizes: dict[tuple[str, int], int]
    positive: bool = False
    """Whether numbers that are made up must be positive, as for a model that takes their logarithm."""

    def shape(self, tensor: Tensor, rows: int) -> tuple[int, ...]:
        """The shape of an input in a request of `rows` rows."""
        lengths = [
            self.sizes[tensor.name, axis] if size is None and (tensor.name, axis) in self.sizes else size
            for axis, size in enumerate(tensor.shape)
        ]
        if tensor.per == "item":
            lengths[0] = rows
        return tuple(rows if length is None else length for length in lengths)

    @property
    def fixed_rows(self) -> int | None:
        """The rows that a request must have, where the model fixes them."""
        leading = [tensor.shape[0] for tensor in self.inputs if tensor.per == "item"]
        fixed = [rows for rows in leading if rows is not None]
        return fixed[0] if fixed else None


def declared(model: Any, path: Path) -> tuple[tuple[Value, ...], tuple[str, ...]]:
    """The inputs, without those that are weights, and the names of the outputs that hold numbers.

    Raises UserError where an input is no tensor of numbers, or no output is one.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_value(entry, path) for entry in model.graph.input if entry.name not in weights)
    if not inputs:
        raise UserError(f"{path}: has no inputs; every answer would be the same")
    outputs = tuple(entry.name for entry in model.graph.output if _dtype(entry) is not None)
    if not outputs:
        raise UserError(f"{path}: gives no tensor of numbers (from scikit-learn: convert it with zipmap=False)")
    return inputs, outputs


def _value(entry: Any, path: Path) -> Value:
    dtype = _dtype(entry)
    if dtype is None:
        what = entry.type.WhichOneof("value")
        if what == "tensor_type":
            what = onnx.TensorProto.DataType.Name(entry.type.tensor_type.elem_type).lower()
        raise UserError(f"{path}: input {entry.name} holds {what}; tensors of numbers and booleans can be sent")
    kind = entry.type.tensor_type
    axes = tuple(_axis(dimension) for dimension in kind.shape.dim) if kind.HasField("shape") else (None,)
    return Value(entry.name, dtype, axes)


def _dtype(entry: Any) -> str | None:
    """The numpy name of a tensor's type; None for what numpy has no numbers for, and for what is no tensor."""
    if not entry.type.HasField("tensor_type"):
        return None
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type))
    except (KeyError, TypeError, ValueError):
        return None
    return dtype.name if dtype.kind in "biuf" else None


def _axis(dimension: Any) -> Axis:
    if dimension.HasField("dim_value") and dimension.dim_value > 0:
        return int(dimension.dim_value)
    return dimension.dim_param or None


def signature(inputs: Sequence[Value], outputs: Sequence[str], items: Reading, rows: int) -> Signature:
    """Fill the free axes. A free first axis counts items; `items` says what to make of several symbols there.

    "all": each of them counts the items; "one": the commonest does, and the others stand for one row. Where all first
    axes are fixed, the commonest length is the number of items. Other axes with the items' symbol need `rows`.
    """
    free = Counter(value.leading for value in inputs if not isinstance(value.leading, int))
    fixed = Counter(value.leading for value in inputs if isinstance(value.leading, int) and value.leading)
    items_are = free.most_common(1)[0][0] if free else fixed.most_common(1)[0][0] if fixed else 0
    tensors, sizes = [], {}
    for value in inputs:
        if free:
            per_item = value.leading is None or (isinstance(value.leading, str) and items == "all")
            per_item = per_item or (value.leading == items_are and not isinstance(items_are, int))
        else:
            per_item = bool(value.axes) and value.leading == items_are
        for axis, length in enumerate(value.axes):
            if not isinstance(length, int) and not (axis == 0 and per_item):
                same = length is not None and length == items_are
                sizes[value.name, axis] = rows if same else 1 if axis == 0 else _length(value, axis)
        shape = tuple(length if isinstance(length, int) else None for length in value.axes)
        tensors.append(Tensor(value.name, value.dtype, shape, "item" if per_item else "request"))
    return Signature(tuple(tensors), tuple(outputs), sizes)


def ambiguous(inputs: Sequence[Value]) -> bool:
    """Whether several symbols stand for first axes, which may or may not all count the items."""
    return len({value.leading for value in inputs if isinstance(value.leading, str)}) > 1


def squares(inputs: Sequence[Value]) -> bool:
    """Whether a symbol of a first axis stands for a later axis too, whose length then changes with the items."""
    leading = {value.leading for value in inputs if isinstance(value.leading, str)}
    return any(axis in leading for value in inputs for axis in value.axes[1:] if isinstance(axis, str))


def _length(value: Value, axis: int) -> int:
    """What a free axis is filled with: an image's side or channels, else a history's length."""
    if len(value.axes) != 4 or not value.dtype.startswith(("float", "uint8")):
        return FREE_AXIS
    channels = 3 if value.axes[3] in (1, 3, 4) else 1
    return IMAGE_CHANNELS if axis == channels else IMAGE_SIDE
