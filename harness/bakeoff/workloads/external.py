"""The files beside an ONNX file that hold its larger tensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bakeoff.errors import UserError

MOST_INLINE_BYTES = 1 << 30
"""Far enough below protobuf's limit of 2 GiB for engines to rewrite the file."""


def load_proto(path: Path) -> Any:
    """The model without its external data; raises UserError where the file is not one, or not all of one."""
    import onnx
    from google.protobuf.message import DecodeError

    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty; an ONNX model was expected")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: is no ONNX model, or a truncated one") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not model.graph.output or not model.opset_import:
        raise UserError(f"{path}: is no ONNX model, or a truncated one: it has no outputs")
    for name in external_names(model):
        place = (path.parent / name).resolve()
        if not place.is_relative_to(path.parent.resolve()):
            raise UserError(f"{path}: keeps weights in {name}, outside of its own folder")
        if not place.is_file():
            raise UserError(f"{path}: keeps weights in {name}, which is not beside it")
    return model


def has_external_data(path: Path) -> bool:
    """Whether an ONNX file keeps tensors in other files."""
    return bool(external_names(load_proto(path)))


def gather(path: Path, target: Path) -> None:
    """Copy a model with external data into one file, or where it is too large for one, into it and <target>.data."""
    import onnx

    model = onnx.load(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if sum(len(tensor.raw_data) for tensor in tensors(model.graph)) <= MOST_INLINE_BYTES:
        onnx.save(model, str(target))
    else:
        onnx.save(model, str(target), save_as_external_data=True, location=target.name + ".data", size_threshold=0)


def external_names(model: Any) -> set[str]:
    """Where the tensors of a model lie that are not in its file."""
    return {
        entry.value
        for tensor in tensors(model.graph)
        if tensor.data_location == 1
        for entry in tensor.external_data
        if entry.key == "location"
    }


def tensors(graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from tensors(inner)
