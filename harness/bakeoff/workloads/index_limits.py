"""How large the integers in an ONNX input may be: below the rows of the tables that they index, by the graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import inliner, numpy_helper, shape_inference

from bakeoff.workloads.external import tensors
from bakeoff.workloads.prepared import Array

UNLIMITED = np.iinfo(np.int64).max
_IN_PLACE = {"Identity", "Cast", "Abs", "Clip", "Dropout", "Add"}
"""Operations after which a matrix still has its columns where they were."""
_MOVING = {"Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Expand", "Tile", "Sub", "Where", "Concat"}
_FIRST_ARGUMENT_ALONE = {"Reshape", "Expand", "Tile", "Unsqueeze", "Squeeze", "Clip", "Dropout", "Slice", "Split"}
_LOOKS_UP = {"Gather": {1: 0}, "GatherElements": {1: 0}, "GatherND": {1: 0}, "EmbedLayerNormalization": {0: 2, 1: 4}}
"""Operations that index tables: the argument with the indices -> the argument with the table."""


@dataclass(frozen=True)
class _Reach:
    """A value that holds some of an input's columns; `in_place` while it is a matrix of just these columns in order.

    `shift` was added to each of the input's columns on the way.
    """

    name: str
    columns: Array
    in_place: bool
    shift: Array


class IndexLimits:
    """The limits of a model's inputs: integers from 0 to below the limit stay inside every table they index."""

    def __init__(self, model: Any) -> None:
        if model.functions:
            model = inliner.inline_local_functions(model)
        self._model = model
        self._users: dict[str, list[tuple[Any, int]]] = defaultdict(list)
        self._constants = {tensor.name: tensor for tensor in tensors(model.graph)}
        for node in _nodes(model.graph):
            for place, name in enumerate(node.input):
                self._users[name].append((node, place))
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t
        self._inferred: dict[str, tuple[int, ...]] | None = None

    def of(self, name: str, columns: int | None) -> Array | None:
        """Limits of the integers in input `name`, int64 [columns] for a matrix, else [1]; None where nothing limits."""
        limits = np.full(columns or 1, UNLIMITED)
        start = _Reach(name, np.arange(len(limits)), columns is not None, np.zeros(len(limits), np.int64))
        waiting, seen = [start], set()
        while waiting:
            reach = waiting.pop()
            key = (reach.name, reach.columns.tobytes(), reach.in_place)
            if key in seen:
                continue
            seen.add(key)
            for node, place in self._users[reach.name]:
                rows = self._table_rows(node, place)
                if rows is None:
                    waiting += self._onward(node, place, reach)
                else:
                    limits[reach.columns] = np.minimum(limits[reach.columns], rows - reach.shift[reach.columns])
        return None if limits.min() == UNLIMITED else np.maximum(limits, 1)

    def _table_rows(self, node: Any, place: int) -> int | None:
        """The rows of the table that argument `place` of a node indexes; None where it is no index."""
        if node.op_type == "OneHot" and place == 0:
            depth = self._constant(node.input[1])
            return None if depth is None else int(depth.ravel()[0])
        table = _LOOKS_UP.get(node.op_type, {}).get(place)
        if table is None:
            return None
        shape = self._shape(node.input[table])
        axis = _attribute(node, "axis", _attribute(node, "batch_dims", 0))
        return shape[axis] if -len(shape) <= axis < len(shape) and shape[axis] > 0 else None

    def _onward(self, node: Any, place: int, reach: _Reach) -> list[_Reach]:
        """The node's outputs that hold integers of the input."""
        kind = node.op_type
        if place > 0 and kind in _FIRST_ARGUMENT_ALONE:
            return []
        if kind in _IN_PLACE:
            reach = replace(reach, shift=self._shifted(node, reach))
        elif kind in ("Gather", "Slice") and place == 0:
            return [replace(reach, name=node.output[0], **self._picked(node, reach))]
        elif kind == "Split" and place == 0:
            return self._split(node, reach)
        elif kind in _MOVING:
            reach = replace(reach, in_place=False)
        else:
            return []
        return [replace(reach, name=output) for output in node.output]

    def _shifted(self, node: Any, reach: _Reach) -> Array:
        constants = [self._constant(name) for name in node.input if name != reach.name] if node.op_type == "Add" else []
        added = constants[0] if constants else None
        if added is None:
            return reach.shift
        shift = reach.shift.copy()
        per_column = reach.in_place and added.size == len(reach.columns)
        shift[reach.columns] += added.ravel().astype(np.int64) if per_column else int(added.max())
        return shift

    def _picked(self, node: Any, reach: _Reach) -> dict[str, Any]:
        """The columns that a Gather or Slice with constant arguments takes out of a matrix; else all, out of place."""
        if reach.in_place and node.op_type == "Gather":
            indices = self._constant(node.input[1])
            if _attribute(node, "axis", 0) in (1, -1) and indices is not None:
                return {"columns": np.atleast_1d(reach.columns[indices]).ravel()}
        if reach.in_place and node.op_type == "Slice":
            arguments = [self._constant(name) for name in node.input[1:]]
            if len(arguments) >= 3 and all(a is not None and a.size == 1 for a in arguments):
                start, end, axis, *step = (int(a.ravel()[0]) for a in arguments if a is not None)
                if axis in (1, -1):
                    return {"columns": reach.columns[slice(start, end, *step)]}
                return {}
        return {"in_place": False}

    def _split(self, node: Any, reach: _Reach) -> list[_Reach]:
        lengths = self._constant(node.input[1]) if len(node.input) > 1 else None
        if reach.in_place and _attribute(node, "axis", 0) in (1, -1):
            ends = np.cumsum(lengths)[:-1] if lengths is not None else len(node.output)
            parts = np.split(reach.columns, ends) if lengths is not None else np.array_split(reach.columns, ends)
            return [replace(reach, name=name, columns=part) for name, part in zip(node.output, parts, strict=True)]
        return [replace(reach, name=name, in_place=False) for name in node.output]

    def _constant(self, name: str) -> Array | None:
        """A constant's value, if it is one that lies in the file itself."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.data_location == 1:
            return None
        array: Array = numpy_helper.to_array(tensor)
        return array

    def _shape(self, name: str) -> tuple[int, ...]:
        if name in self._constants:
            return tuple(self._constants[name].dims)
        if self._inferred is None:
            self._inferred = _inferred_shapes(self._model)
        return self._inferred.get(name, ())


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _nodes(inner)


def _inferred_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """The shapes that onnx infers; a free axis is 0. A model that it cannot take has none."""
    try:
        graph = shape_inference.infer_shapes(model).graph
    except Exception:
        return {}
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in values}


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)
