"""Rewriting an exported torch graph to a lower precision.

Working on the exported graph needs no Python class of the model, so a stranger's .pt2 takes the same way as ours.
torch is imported by the functions that need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Unsupported

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Graph, GraphModule, Node

MATRIX = frozenset(
    {
        "linear.default",
        "matmul.default",
        "bmm.default",
        "mm.default",
        "addmm.default",
        "baddbmm.default",
        "einsum.default",
        "conv1d.default",
        "conv2d.default",
        "scaled_dot_product_attention.default",
    }
)
"""Operators that bf16 and fp16 units speed up; the same ones that torch.autocast narrows."""

SHAPES = frozenset(
    {
        "view.default",
        "reshape.default",
        "_unsafe_view.default",
        "flatten.using_ints",
        "transpose.int",
        "permute.default",
        "t.default",
        "unsqueeze.default",
        "squeeze.default",
        "squeeze.dim",
        "select.int",
        "slice.Tensor",
        "expand.default",
        "contiguous.default",
        "clone.default",
    }
)
"""Operators that move values and change none."""

CARRIERS = SHAPES | {
    "relu.default",
    "gelu.default",
    "silu.default",
    "leaky_relu.default",
    "dropout.default",
    "cat.default",
    "stack.default",
    "index.Tensor",
}
"""Operators that lose little by staying narrow between two matrix operators; the value is widened before any other."""

TRANSPARENT = SHAPES | {"sigmoid.default", "softmax.int", "clamp.default", "to.dtype"}
"""Steps that may stand between a model's head and its output."""


HALVES = {"bf16": "bfloat16", "fp16": "float16"}
"""torch's names for the precisions of half the size."""


def in_half(program: ExportedProgram, precision: str) -> ExportedProgram:
    """The program with its matrix operators in bf16 or fp16, exported again with the same free axes."""
    module = program.module()
    to_half(module, precision)
    return again(program, module)


def again(program: ExportedProgram, module: GraphModule) -> ExportedProgram:
    """What became of the program's module, exported with the program's own example and free axes."""
    import torch

    users = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in users]
    free = [
        {axis: torch.export.Dim.AUTO for axis, size in enumerate(shape) if isinstance(size, torch.SymInt)}
        for shape in shapes
    ]
    arguments, _ = program.example_inputs
    return torch.export.export(module, arguments, dynamic_shapes=tuple(free))


def to_half(module: GraphModule, precision: str) -> None:
    """Run the matrix operators in bf16 or fp16, as torch.autocast does, but decided once in the graph and not per call.

    Weights are stored narrow. Sums, norms and softmax stay in fp32, and so does the head: a last layer that only
    element-wise steps separate from the output, where bf16 would round a click probability by 1e-3.
    Raises Unsupported where no operator gains.
    """
    import torch

    graph, casts = module.graph, _Casts(module, getattr(torch, HALVES[precision]))
    heads = set(_heads(graph))
    matrix = [node for node in graph.nodes if _operator(node) in MATRIX and _dtype(node) == torch.float32]
    chosen = [node for node in matrix if node not in heads]
    if not chosen:
        raise Unsupported("nothing to narrow: the model has no matrix product before its head")
    _drop_dtype_assertions(graph)
    narrow: set[Node] = set()
    for node in list(graph.nodes):
        floats = [arg for arg in node.all_input_nodes if arg in narrow or _dtype(arg) == torch.float32]
        if node in chosen:
            _replace(node, {arg: arg if arg in narrow else casts.narrow(arg) for arg in floats})
            narrow.add(node)
        elif _operator(node) in CARRIERS and floats and all(arg in narrow for arg in floats):
            narrow.add(node)
        else:
            _replace(node, {arg: casts.widen(arg) for arg in floats if arg in narrow})
    _finish(module)


def to_int8(module: GraphModule) -> None:
    """Replace every linear layer by torch's dynamically quantised one: int8 weights per channel, activations per call.

    Raises Unsupported where the model has no linear layer with constant weights.
    """
    import torch

    linears = constant_linears(module)
    if not linears:
        raise Unsupported("nothing to quantise: the model has no linear layer with constant weights")
    for number, node in enumerate(linears):
        name = f"packed_{number}"
        setattr(module, name, _pack(*(constant(module, arg) for arg in node.args[1:3])))
        with module.graph.inserting_before(node), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a packed weight is no parameter, and need not be
            packed = module.graph.get_attr(name)
            quantised = torch.ops.quantized.linear_dynamic.default
            node.replace_all_uses_with(module.graph.call_function(quantised, (node.args[0], packed, False)))
        module.graph.erase_node(node)
    _finish(module)


class _Casts:
    """Inserts each cast once, right behind the value it converts."""

    def __init__(self, module: GraphModule, dtype: Any) -> None:
        self._module, self._dtype = module, dtype
        self._narrowed: dict[Node, Node] = {}
        self._widened: dict[Node, Node] = {}

    def narrow(self, node: Node) -> Node:
        """`node` in the narrow type; a constant is converted here and now."""
        if node not in self._narrowed:
            with self._module.graph.inserting_after(node):
                if node.op == "get_attr":
                    name = f"narrow_{len(self._narrowed)}"
                    self._module.register_buffer(name, constant(self._module, node).to(self._dtype))
                    self._narrowed[node] = self._module.graph.get_attr(name)
                else:
                    self._narrowed[node] = self._cast(node, self._dtype)
        return self._narrowed[node]

    def widen(self, node: Node) -> Node:
        """`node` back in fp32."""
        import torch

        if node not in self._widened:
            with self._module.graph.inserting_after(node):
                self._widened[node] = self._cast(node, torch.float32)
        return self._widened[node]

    def _cast(self, node: Node, dtype: Any) -> Node:
        import torch

        return self._module.graph.call_function(torch.ops.aten.to.dtype, (node, dtype))


def _operator(node: Node) -> str:
    """Such as "linear.default" for a call of aten's linear, otherwise ""."""
    name = str(node.target) if node.op == "call_function" else ""
    return name.removeprefix("aten.") if name.startswith("aten.") else ""


def _dtype(node: Node) -> Any:
    return getattr(node.meta.get("val"), "dtype", None)


def _heads(graph: Graph) -> Iterator[Node]:
    for result in graph.output_node().all_input_nodes:
        node = result
        while _operator(node) in TRANSPARENT and node.all_input_nodes:
            node = node.all_input_nodes[0]
        if _operator(node) in MATRIX:
            yield node


def _replace(node: Node, by: Mapping[Node, Node]) -> None:
    for old, new in by.items():
        if new is not old:
            node.replace_input_with(old, new)


def _drop_dtype_assertions(graph: Graph) -> None:
    for node in list(graph.nodes):
        if _operator(node) == "_assert_tensor_metadata.default":
            graph.erase_node(node)


def constant_linears(module: GraphModule) -> list[Node]:
    """The calls of a linear layer whose weights, and bias if any, are constants."""
    return [node for node in module.graph.nodes if _is_constant_linear(node)]


def _is_constant_linear(node: Node) -> bool:
    constants = [arg for arg in node.args[1:3] if arg is not None]
    return _operator(node) == "linear.default" and all(getattr(arg, "op", "") == "get_attr" for arg in constants)


def constant(module: GraphModule, node: Any) -> Any:
    """The tensor behind a get_attr node; None for no node (a layer without bias)."""
    if node is None:
        return None
    value: Any = module
    for part in node.target.split("."):
        value = getattr(value, part)
    return value.detach()


def _pack(weight: Any, bias: Any = None) -> Any:
    """A linear layer's weights as signed bytes with one scale per output channel, in the kernel's own layout."""
    import torch

    scales = (weight.abs().amax(dim=1) / 127).clamp_min(1e-8).double()
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # deprecated, and still the fast kernels
        quantised = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(quantised, bias)


def _finish(module: GraphModule) -> None:
    """Drop what nothing uses any more (the wide weights above all) and compile the graph again."""
    module.graph.eliminate_dead_code()
    used = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in (*module.named_parameters(), *module.named_buffers()) if name not in used]:
        path, _, leaf = name.rpartition(".")
        delattr(module.get_submodule(path), leaf)
    module.graph.lint()
    module.recompile()
