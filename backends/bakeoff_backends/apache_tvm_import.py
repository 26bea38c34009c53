"""Reading a torch.export program for TVM, with what its importer gets wrong rewritten or refused."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Unsupported
from bakeoff_backends import torch_session

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


def read(path: Path) -> tuple[ExportedProgram, Any]:
    """The program, and TVM's module of it with the weights as constants; raises Unsupported with the operator."""
    from tvm.relax.frontend.torch import from_exported_program

    program = torch_session.read(path)
    rewritten = rewrite(program.run_decompositions())
    try:
        module = from_exported_program(rewritten, unwrap_unit_return_tuple=True, run_ep_decomposition=False)
    except Exception as error:
        raise Unsupported(f"TVM's torch importer: {one_line(error)}") from error
    return program, module


def rewrite(program: ExportedProgram) -> ExportedProgram:
    """The program with no index from the end, and no slice of one row from a free axis.

    TVM 0.27 takes the former as they are, an element before the array: it answers garbage, or crashes. For the latter
    it finds no shape.
    """
    import torch

    aten = torch.ops.aten
    rewriters = {aten.select.int: _select, aten.slice.Tensor: _slice}
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in rewriters:
            rewriters[node.target](program.graph, node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def one_line(error: BaseException) -> str:
    """The part of an engine's message that tells: its type, first line and last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: " + " ".join(dict.fromkeys((lines[0], lines[-1])))[:300]


def _select(graph: Any, node: Node) -> None:
    source, axis, index = _arguments(node, 3)
    size = source.meta["val"].shape[axis]
    node.args = (source, axis, _from_the_front(node, index, size))
    node.kwargs = {}


def _slice(graph: Any, node: Node) -> None:
    source, axis, start, end, step = _arguments(node, 5)
    axis, start, step = axis or 0, start or 0, 1 if step is None else step
    size, kept = source.meta["val"].shape[axis], node.meta["val"].shape[axis]
    if isinstance(kept, int) and kept == 1 and not isinstance(size, int):
        _one_row(graph, node, source, axis, _from_the_front(node, start, size))
        return
    end = end if end is None else _from_the_front(node, end, size)
    node.args = (source, axis, _from_the_front(node, start, size), end, step)
    node.kwargs = {}


def _one_row(graph: Any, node: Node, source: Node, axis: int, index: Any) -> None:
    import torch

    aten = torch.ops.aten
    with graph.inserting_before(node):
        row = graph.call_function(aten.select.int, (source, axis, index))
        row.meta["val"] = node.meta["val"].select(axis, 0)
        kept = graph.call_function(aten.unsqueeze.default, (row, axis))
        kept.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(kept)
    graph.erase_node(node)


def _arguments(node: Node, count: int) -> list[Any]:
    """The operator's arguments by position, None where it leaves one out."""
    given = [*node.args, *([None] * (count - len(node.args)))]
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    return [node.kwargs.get(name, value) for name, value in zip(names, given, strict=True)]


def _from_the_front(node: Node, index: Any, size: Any) -> Any:
    if not isinstance(index, int) or index >= 0:
        return index
    if not isinstance(size, int):
        raise Unsupported(f"{node.target} with index {index} from the end of a free axis: TVM reads before the array")
    return max(operator.add(index, size), 0)
