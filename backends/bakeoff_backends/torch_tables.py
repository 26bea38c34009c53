"""Taking a model's embedding lookups out of its graph, so that the tables can stay where the rest does not run.

A lookup takes rows of a constant table by ids that come from integer inputs alone. What computes its ids goes with it;
all else is the dense part, which gets the rows as further inputs. torch is imported by the functions that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakeoff.backends import Unsupported

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

LOOKUPS = frozenset(
    {
        "aten.embedding.default",
        "aten.index_select.default",
        "aten.index.Tensor",
        "aten.embedding_bag.default",
        "aten.embedding_bag.padding_idx",
        "aten._embedding_bag.default",
        "aten._embedding_bag_forward_only.default",
    }
)
"""Operators that take rows of a table, which is their first argument."""
SIZES = ("aten.sym_size", "aten.sym_numel", "aten.sym_stride")
"""Operators that read a tensor's shape and none of its values."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a graph with the numbers of the model's inputs that it takes, in order; of those in `shapes_alone` it
    reads nothing but the shape, so that they may lie anywhere."""

    module: GraphModule
    inputs: tuple[int, ...]
    shapes_alone: frozenset[int]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A model taken apart. Each of `lookups` answers with the rows of its tables; `dense` takes its own inputs and then
    the rows of all lookups in order. `table_bytes` are the tables' sizes, lookup by lookup."""

    lookups: tuple[Part, ...]
    dense: Part
    table_bytes: tuple[int, ...]


def take_apart(module: GraphModule, places: int) -> Pieces:
    """Split an exported graph into `places` parts with tables of about the same size, and the dense part.

    A table is looked up in one part alone. Raises Unsupported where there are not as many tables as places.
    """
    graph = module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    found = _lookups(module)
    tables = {id(_tensor(module, _table(node))): _tensor(module, _table(node)) for node in found}
    if len(tables) < places:
        what = "one whose ids come from integer inputs alone" if places == 1 else f"{places} of them, one for each GPU"
        raise Unsupported(f"the model has {len(tables)} embedding tables to set apart, and this setting takes {what}")
    sizes = {key: table.numel() * table.element_size() for key, table in tables.items()}
    shares = shared_out(sizes, places)
    groups = [[node for node in found if id(_tensor(module, _table(node))) in share] for share in shares]
    ordered = [_result(node) for group in groups for node in group]
    return Pieces(
        tuple(_part(module, inputs, [_result(node) for node in group], ()) for group in groups),
        _part(module, inputs, graph.output_node().args[0], ordered),
        tuple(sum(sizes[key] for key in share) for share in shares),
    )


def shared_out(sizes: dict[int, int], places: int) -> list[set[int]]:
    """The keys in `places` groups of about the same total size: the largest first, each to the least loaded group."""
    groups: list[set[int]] = [set() for _ in range(places)]
    loads = [0] * places
    for key in sorted(sizes, key=lambda each: -sizes[each]):
        place = loads.index(min(loads))
        groups[place].add(key)
        loads[place] += sizes[key]
    return groups


def moved(module: GraphModule, place: Any) -> GraphModule:
    """The module on a device, with the devices that were written into its graph at export replaced by it.

    It is wrapped anew, which makes buffers of a model's plain tensors: those no module would move.
    """
    import torch
    from torch.fx.node import map_aggregate

    def here(value: Any) -> Any:
        return place if isinstance(value, torch.device) else value

    for node in module.graph.nodes:
        node.args, node.kwargs = map_aggregate(node.args, here), map_aggregate(node.kwargs, here)
    return torch.fx.GraphModule(module, module.graph).to(place)


def _lookups(module: GraphModule) -> list[Node]:
    """The lookups by integer inputs whose tables nothing else reads."""
    import torch

    candidates = [
        node
        for node in module.graph.nodes
        if str(node.target) in LOOKUPS and getattr(_table(node), "op", "") == "get_attr" and _by_ids(node, torch)
    ]
    chosen = set(candidates)
    shared = {
        id(_tensor(module, node))
        for node in module.graph.nodes
        if node.op == "get_attr" and isinstance(_tensor(module, node), torch.Tensor) and not chosen >= set(node.users)
    }
    return [node for node in candidates if id(_tensor(module, _table(node))) not in shared]


def _by_ids(lookup: Node, torch: Any) -> bool:
    """Whether all but the table comes from the values of integer inputs, and of one at least."""
    reads = _closure([node for node in lookup.all_input_nodes if node is not _table(lookup)], _reads_shape)
    given = [node for node in reads if node.op == "placeholder"]
    whole = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
    return bool(given) and all(node.meta["val"].dtype in whole for node in given)


def _table(lookup: Node) -> Any:
    return lookup.args[0]


def _result(lookup: Node) -> Node:
    """What carries the rows: an embedding bag answers with a tuple whose first part they are."""
    if "embedding_bag" not in str(lookup.target):
        return lookup
    return next(user for user in lookup.users if user.args[1] == 0)


def _reads_shape(node: Node) -> bool:
    return str(node.target).startswith(SIZES)


def _closure(nodes: Iterable[Node], stop: Callable[[Node], bool]) -> set[Node]:
    """The nodes and all that they are computed from, but not what lies behind one that is to `stop`."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [] if stop(node) else node.all_input_nodes
    return found


def _part(module: GraphModule, inputs: Sequence[Node], answers: Any, given: Sequence[Node]) -> Part:
    """The piece that computes `answers` from the model's inputs and from what is `given`."""
    import torch
    from torch.fx.node import map_arg

    ends: list[Node] = []
    map_arg(answers, ends.append)
    cut = set(given)
    wanted = _closure(ends, cut.__contains__)
    graph = torch.fx.Graph()
    made: dict[Node, Node] = {}
    taken = [number for number, node in enumerate(inputs) if node in wanted]
    for node in [*(inputs[number] for number in taken), *given]:
        made[node] = graph.placeholder(node.name)
    for node in module.graph.nodes:
        if node in wanted and node not in made:
            made[node] = graph.node_copy(node, made.__getitem__)
    graph.output(map_arg(answers, made.__getitem__))
    shapes = frozenset(n for n in taken if all(_reads_shape(user) for user in made[inputs[n]].users))
    return Part(torch.fx.GraphModule(module, graph), tuple(taken), shapes)


def _tensor(module: GraphModule, node: Node) -> Any:
    value: Any = module
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value
