"""Writes a torch module as ONNX and as torch.export's .pt2, and checks that both answer as the module does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bakeoff.backends import Arrays, Tensor
from bakeoff.errors import UserError
from bakeoff.workloads import onnx_runner
from bakeoff.workloads.prepared import Array

MOST_ROWS = 65_536
OPSET = 17
CHECKED_ROWS = (1, 2, 3, 17)
TOLERANCE = 1e-4


def export(
    module: torch.nn.Module, inputs: Sequence[Tensor], outputs: Sequence[str], rows: Arrays, folder: Path
) -> dict[str, Path]:
    """The files by format: "exported", and "onnx" where the module can be said in it.

    `rows` holds inputs of at least 17 rows, from which examples are cut. Raises UserError where torch.export cannot
    take the module, or the exported one answers otherwise than the module does.
    """
    requests = [_cut(inputs, rows, count) for count in CHECKED_ROWS]
    wanted = [run(module, inputs, outputs, request) for request in requests]
    example = _tensors(inputs, requests[2])
    folder.mkdir(parents=True, exist_ok=True)
    files = {"exported": folder / "model.pt2"}
    try:
        program = torch.export.export(module, example, dynamic_shapes=_dimensions(inputs))
    except Exception as error:
        raise UserError(f"torch.export cannot take the model: {first_line(error)}") from error
    torch.export.save(program, files["exported"])
    for request, answer in zip(requests, wanted, strict=True):
        _compare("model.pt2", run(program.module(), inputs, outputs, request), answer)
    onnx = to_onnx(module, program, inputs, outputs, example, folder / "model.onnx")
    if onnx is not None:
        runner = onnx_runner.open_model(onnx, outputs)
        for request, answer in zip(requests, wanted, strict=True):
            _compare("model.onnx", runner.run(request), answer)
        files["onnx"] = onnx
    return files


def to_onnx(
    module: torch.nn.Module,
    program: torch.export.ExportedProgram,
    inputs: Sequence[Tensor],
    outputs: Sequence[str],
    example: tuple[torch.Tensor, ...],
    path: Path,
) -> Path | None:
    """Write the ONNX file; None where neither exporter can.

    The TorchScript exporter goes first: what it writes can be quantised by ONNX Runtime, which refuses to infer the
    shapes of what the newer one writes.
    """
    names = [tensor.name for tensor in inputs]
    axes = {tensor.name: {0: "items"} for tensor in inputs if tensor.per == "item"}
    axes |= {name: {0: "items"} for name in outputs} if axes else {}
    for tensor in inputs:
        more = {axis: f"{tensor.name}_{axis}" for axis, size in enumerate(tensor.shape) if size is None}
        axes[tensor.name] = more | axes.get(tensor.name, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module, example, str(path), dynamo=False, input_names=names, output_names=list(outputs),
                dynamic_axes=axes, opset_version=OPSET,
            )  # fmt: skip
            return path
        except Exception:
            path.unlink(missing_ok=True)
        try:
            written = torch.onnx.export(
                program, example, dynamo=True, input_names=names, output_names=list(outputs), verbose=False
            )
            assert written is not None
            written.save(str(path))
            return path
        except Exception:
            path.unlink(missing_ok=True)
            return None


def run(module: Any, inputs: Sequence[Tensor], outputs: Sequence[str], request: Arrays) -> dict[str, Array]:
    """What the module answers, by output name."""
    with torch.inference_mode():
        answer = module(*_tensors(inputs, request))
    if isinstance(answer, dict):
        return {name: answer[name].numpy() for name in outputs}
    several = answer if isinstance(answer, tuple | list) else (answer,)
    return {name: tensor.numpy() for name, tensor in zip(outputs, several, strict=True)}


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _tensors(inputs: Sequence[Tensor], request: Arrays) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(request[tensor.name])) for tensor in inputs)


def _cut(inputs: Sequence[Tensor], rows: Arrays, count: int) -> dict[str, Array]:
    return {tensor.name: rows[tensor.name][:count] if tensor.per == "item" else rows[tensor.name] for tensor in inputs}


def _dimensions(inputs: Sequence[Tensor]) -> tuple[dict[int, Any], ...]:
    from torch.export import Dim

    items = Dim("items", min=1, max=MOST_ROWS)
    return tuple(
        {
            axis: items if axis == 0 and tensor.per == "item" else Dim.AUTO
            for axis, size in enumerate(tensor.shape)
            if size is None
        }
        for tensor in inputs
    )


def _compare(name: str, answer: Arrays, wanted: Arrays) -> None:
    for output, right in wanted.items():
        given = np.asarray(answer[output])
        if given.shape != right.shape:
            raise UserError(f"the exported {name} gives {output} as {given.shape}, the module as {right.shape}")
        worst = float(np.abs(given.astype(np.float64) - right).max(initial=0))
        if not worst <= TOLERANCE * (1 + float(np.abs(right).max(initial=0))):
            raise UserError(f"the exported {name} is off the module's {output} by {worst:.2g}")
