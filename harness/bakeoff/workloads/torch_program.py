"""Reads a torch.export program (.pt2): its inputs, its outputs, and the tables that its integers index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bakeoff.errors import UserError
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.signature import Axis, Value


@dataclass(frozen=True, slots=True)
class Program:
    """A loaded program with its signature; outputs are named by their place."""

    exported: torch.export.ExportedProgram
    values: tuple[Value, ...]
    outputs: tuple[str, ...]
    module: Callable[..., Any]


def load_program(path: Path) -> Program:
    """Load a .pt2 file; raises UserError where it is none, or takes something else than tensors by place."""
    try:
        exported = torch.export.load(path)
    except Exception as error:
        raise UserError(
            f"{path}: is no torch.export program, or a truncated one (write it with torch.export.save)"
        ) from error
    names = exported.graph_signature.user_inputs
    fakes = {node.name: node.meta.get("val") for node in exported.graph.nodes if node.op == "placeholder"}
    values = []
    for name in names:
        fake = fakes.get(str(name))
        if not isinstance(fake, torch.Tensor):
            raise UserError(f"{path}: input {name} is no tensor; only tensors can be sent")
        if fake.dtype == torch.bfloat16:
            raise UserError(f"{path}: input {name} holds bfloat16, which no request can; cast it inside the model")
        values.append(Value(str(name), _dtype(fake.dtype), tuple(_axis(length) for length in fake.shape)))
    if not values:
        raise UserError(f"{path}: has no inputs; every answer would be the same")
    if exported.call_spec.in_spec is not None and exported.example_inputs and exported.example_inputs[1]:
        raise UserError(f"{path}: takes keyword arguments; export it with arguments by place")
    count = len(exported.graph_signature.user_outputs)
    outputs = ("output",) if count == 1 else tuple(f"output_{i}" for i in range(count))
    return Program(exported, tuple(values), outputs, exported.module())


def table_limits(program: Program) -> dict[str, Array]:
    """For each integer input, the rows of the smallest embedding table of the program: safe, if often too careful."""
    rows = [
        int(node.args[0].meta["val"].shape[0])
        for node in program.exported.graph.nodes
        if node.op == "call_function" and "embedding" in str(node.target)
    ]
    if not rows:
        return {}
    limit = np.array([min(rows)], np.int64)
    return {value.name: limit for value in program.values if np.dtype(value.dtype).kind in "iu"}


def _dtype(dtype: torch.dtype) -> str:
    return str(torch.empty(0, dtype=dtype).numpy().dtype)


def _axis(length: Any) -> Axis:
    return int(length) if isinstance(length, int) else str(length)
