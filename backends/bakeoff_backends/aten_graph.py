"""An exported torch program as data, for engines that have no importer of their own: read once with torch, then
walked with a table that maps core ATen operators to an engine's functions.

Reading needs torch, walking does not. An operator that a table lacks is Unsupported by its name.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bakeoff.backends import Unsupported, refusing

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

Array = np.ndarray[Any, Any]
Table = Mapping[str, Callable[..., Any]]
"""Functions by an operator's name without its overload ("add"), and "cast"(value, dtype's name),
which leaves a tuple of several results alone."""

POINTWISE = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "remainder",
        "fmod",
        "maximum",
        "minimum",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "where",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_left_shift",
        "bitwise_right_shift",
        "__lshift__",
        "__rshift__",
        "sigmoid",
        "tanh",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "sin",
        "cos",
        "erf",
        "gelu",
    }
)
"""Operators whose operands torch first promotes to one type."""
NOTHING = ("_assert", "sym_constrain")
"""Operators with these beginnings only check something."""
FOLDED_BYTES = 1 << 16
"""What only depends on constants is computed at once, unless it is larger than this and than what it is made of (an
embedding table that is kept compressed)."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of an earlier step, an input or a constant."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """One call: its operator with the overload ("add.Tensor"), the type of its operands (None: as they are) and of its
    result (None: several results, or a size)."""

    name: str
    operator: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    operands: str | None
    dtype: str | None


@dataclass(frozen=True, slots=True)
class Graph:
    """A program: its inputs in order, each with its axes (a number, or the name of a free one), constants, steps, and
    the values that it answers, with their axes."""

    inputs: Mapping[str, tuple[int | str, ...]]
    constants: Mapping[str, Array]
    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]
    answers: tuple[tuple[int | str, ...], ...]

    def walk(self, table: Table, inputs: tuple[Any, ...], constants: Mapping[str, Any]) -> tuple[Any, ...]:
        """Call the table's function for every step; raises Unsupported with the operator that it cannot do."""
        values = dict(zip(self.inputs, inputs, strict=True)) | dict(constants)
        for step in self.steps:
            values[step.name] = _call(step, table, values)
        return tuple(_resolve(output, values) for output in self.outputs)

    def require(self, table: Table) -> None:
        """Raise Unsupported with every operator that the table lacks."""
        missing = sorted({step.operator for step in self.steps if _function(step.operator, table) is None})
        if missing:
            raise Unsupported(f"no translation of the operator {', '.join(missing)}")


def read(program: ExportedProgram) -> Graph:
    """The program in core ATen operators, with what depends on constants alone computed."""
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = program.run_decompositions()
        program.graph.eliminate_dead_code()
        reader = _Reader(program)
        steps = tuple(reader.steps())
    used = {ref.name for step in steps for ref in _refs((step.args, step.kwargs))} | {
        ref.name for ref in _refs(reader.outputs)
    }
    constants = {name: _numpy(tensor) for name, tensor in reader.constants.items() if name in used}
    return Graph(reader.inputs, constants, steps, tuple(reader.outputs), tuple(reader.answers))


class _Reader:
    """Goes through a program once, keeping the values that are constants so far."""

    def __init__(self, program: ExportedProgram) -> None:
        from torch.export.graph_signature import InputKind, OutputKind

        signature, self._nodes = program.graph_signature, list(program.graph.nodes)
        tensors = {**program.state_dict, **program.constants}
        places = [node for node in self._nodes if node.op == "placeholder"]
        pairs = list(zip(places, signature.input_specs, strict=True))
        users = [node for node, spec in pairs if spec.kind == InputKind.USER_INPUT]
        self.inputs = {node.name: tuple(map(_axis, node.meta["val"].shape)) for node in users}
        self.constants: dict[str, Any] = {
            node.name: tensors[spec.target].detach() for node, spec in pairs if node.name not in self.inputs
        }
        results = zip(program.graph.output_node().args[0], signature.output_specs, strict=True)
        answers = [node for node, spec in results if spec.kind == OutputKind.USER_OUTPUT]
        self.outputs = [self._arg(node) for node in answers]
        self.answers = [tuple(map(_axis, node.meta["val"].shape)) for node in answers]

    def steps(self) -> Iterator[Step]:
        """The calls that depend on an input."""
        for node in self._nodes:
            if node.op not in ("call_function", "placeholder", "output"):
                raise Unsupported(f"no translation of a graph's {node.op} ({node.target})")
            if node.op == "call_function" and not _name(node).startswith(NOTHING) and not self._folds(node):
                yield self._step(node)

    def _folds(self, node: Node) -> bool:
        """Whether the node is a constant from now on."""
        import torch

        sources = node.all_input_nodes
        if not all(source.name in self.constants for source in sources):
            return False
        found = node.target(  # type: ignore[operator]
            *torch.fx.map_arg(node.args, self._constant), **torch.fx.map_arg(node.kwargs, self._constant)
        )
        made_of = max((self.constants[source.name].nbytes for source in sources), default=0)
        if not isinstance(found, torch.Tensor) or found.nbytes > max(made_of, FOLDED_BYTES):
            return False
        self.constants[node.name] = found.contiguous()
        return True

    def _constant(self, node: Node) -> Any:
        return self.constants[node.name]

    def _step(self, node: Node) -> Step:
        args = tuple(self._arg(value) for value in node.args)
        kwargs = {key: self._arg(value) for key, value in node.kwargs.items() if key not in ("device", "layout")}
        kwargs = {key: value for key, value in kwargs.items() if value is not None and key != "pin_memory"}
        return Step(node.name, _name(node), args, kwargs, _operands(node), _dtype(node.meta.get("val")))

    def _arg(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.fx.Node):
            return Ref(value.name)
        if isinstance(value, list | tuple):
            return tuple(self._arg(part) for part in value)
        if isinstance(value, torch.dtype):
            return str(value).removeprefix("torch.")
        return None if isinstance(value, torch.memory_format | torch.device | torch.layout) else value


def _name(node: Node) -> str:
    """Such as "add.Tensor" for ATen's, "getitem" for Python's operators on sizes and tuples."""
    return str(getattr(node.target, "__name__", node.target)).removeprefix("aten.")


def _axis(size: Any) -> int | str:
    return size if isinstance(size, int) else str(size)


def _dtype(value: Any) -> str | None:
    import torch

    return str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else None


def _operands(node: Node) -> str | None:
    """The type that torch promotes a pointwise operator's operands to: the result's, or where that is bool, theirs."""
    import torch

    found = node.meta.get("val")
    if _name(node).partition(".")[0] not in POINTWISE or not isinstance(found, torch.Tensor):
        return None
    if found.dtype != torch.bool:
        return _dtype(found)
    values: list[Any] = [arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in node.args[:2]]
    values = [value for value in values if isinstance(value, torch.Tensor | int | float)]
    promoted = torch.result_type(*values) if len(values) == 2 else values[0].dtype
    return str(promoted).removeprefix("torch.")


def _numpy(tensor: Any) -> Array:
    import torch

    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        narrow: Array = tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return narrow
    array: Array = tensor.contiguous().numpy()
    return array


def _function(name: str, table: Table) -> Callable[..., Any] | None:
    return getattr(operator, name, None) if "." not in name else table.get(name.partition(".")[0])


def _call(step: Step, table: Table, values: Mapping[str, Any]) -> Any:
    function, cast = _function(step.operator, table), table["cast"]
    if function is None:
        raise Unsupported(f"no translation of the operator {step.operator}")
    args = [_resolve(arg, values) for arg in step.args]
    kwargs = {key: _resolve(value, values) for key, value in step.kwargs.items()}
    if step.operands:
        first = 1 if step.operator.startswith("where") else 0
        args = args[:first] + [cast(arg, step.operands) for arg in args[first:]]
    with refusing(f"the operator {step.operator}:"):
        try:
            found = function(*args, **kwargs)
        except Unsupported as refusal:
            raise Unsupported(f"the operator {step.operator}: {refusal}") from None
    return cast(found, step.dtype) if step.dtype else found


def _resolve(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    return tuple(_resolve(part, values) for part in value) if isinstance(value, tuple) else value


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        yield from _refs(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _refs(part)
