"""Reading a torch.export program for TVM, with what its importer gets wrong rewritten or refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Unsupported, refusing
from bakeoff_backends import torch_session

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


def read(path: Path) -> tuple[ExportedProgram, Any]:
    """The program, and TVM's module of it with the weights as constants; raises Unsupported with the operator."""
    from tvm.relax.frontend.torch import from_exported_program

    program = torch_session.read(path)
    rewritten = rewrite(program.run_decompositions())
    with refusing("TVM's torch importer:", one_line):
        module = from_exported_program(rewritten, unwrap_unit_return_tuple=True, run_ep_decomposition=False)
    return program, module


def rewrite(program: ExportedProgram) -> ExportedProgram:
    """The program without indices from the end, slices of one row from a free axis, and pairs of indices in a row.

    TVM 0.27 takes the first as they are, an element before the array: it answers garbage, or crashes. For the second
    it finds no shape, for the third a wrong one.
    """
    import torch

    aten = torch.ops.aten
    rewriters = {aten.select.int: _select, aten.slice.Tensor: _slice, aten.index.Tensor: _index}
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


def _index(graph: Any, node: Node) -> None:
    """x[:, i, j] as one index into those axes laid end to end, where each index is a list."""
    import torch

    aten = torch.ops.aten
    source, indices = _arguments(node, 2)
    shape, first = source.meta["val"].shape, next(n for n, index in enumerate(indices) if index is not None)
    lists = indices[first:]
    sizes = shape[first : first + len(lists)]
    if not first or None in lists or any(x.meta["val"].ndim != 1 for x in lists) or not all(map(_is_known, sizes)):
        return
    with graph.inserting_before(node):
        place = lists[0]
        for index, size in zip(lists[1:], sizes[1:], strict=True):
            place = graph.call_function(aten.add.Tensor, (graph.call_function(aten.mul.Tensor, (place, size)), index))
        rest = shape[first + len(lists) :]
        flat = [size if _is_known(size) else -1 for size in (*shape[:first], math.prod(sizes), *rest)]
        row = graph.call_function(aten.view.default, (source, flat))
        taken = graph.call_function(aten.index_select.default, (row, first, place))
    for made in (n for n in graph.nodes if n.op == "call_function" and "val" not in n.meta):
        values = [a.meta["val"] if isinstance(a, torch.fx.Node) else a for a in made.args]
        made.meta["val"] = made.target(*values)
    node.replace_all_uses_with(taken)
    graph.erase_node(node)


def _is_known(size: Any) -> bool:
    return isinstance(size, int)


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
    return max(index + size, 0)
