"""Arrays as the Open Inference Protocol writes them: its datatypes, raw bytes and JSON values."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bakeoff_backends.endpoint_server import UnreadableError

Array = np.ndarray[Any, Any]

TEXT, BFLOAT16 = "BYTES", "BF16"
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}


def datatype_of(array: Array) -> str:
    """The protocol's name of an array's type."""
    return TEXT if array.dtype.kind in "USO" else DATATYPES[array.dtype.name]


def dtype_name(datatype: str) -> str:
    """The numpy name of a datatype, "text" for BYTES; as it is where numpy has none."""
    return "text" if datatype == TEXT else DTYPES.get(datatype, datatype)


def to_raw(array: Array) -> bytes:
    """The elements in row-major order, little-endian; text as length and UTF-8."""
    if array.dtype.kind not in "USO":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = [each if isinstance(each, bytes) else str(each).encode() for each in array.reshape(-1).tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_raw(datatype: str, raw: bytes | memoryview, shape: Sequence[int]) -> Array:
    """What `to_raw` wrote, as an array of the caller's own; floats become float32. Raises UnreadableError."""
    try:
        if datatype == TEXT:
            return np.array(list(_texts(raw))).reshape(shape)
        if datatype == BFLOAT16:
            return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return owned(np.frombuffer(raw, np.dtype(DTYPES[datatype]).newbyteorder("<")).reshape(shape))
    except (KeyError, ValueError, struct.error) as error:
        raise UnreadableError(f"{len(raw)} bytes are no {datatype} of shape {list(shape)}") from error


def from_values(values: Iterable[Any], datatype: str, shape: Sequence[int]) -> Array:
    """A JSON list, flat or nested, as an array; floats become float32. Raises UnreadableError."""
    dtype = np.float32 if datatype in (BFLOAT16, "FP16") else DTYPES.get(datatype)
    try:
        return owned(np.asarray(values, dtype).reshape(shape))
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"a list of values is no {datatype} of shape {list(shape)}") from error


def guessed(values: Any) -> Array:
    """JSON whose types nobody told, as an array: numbers are float32 unless all are whole. Raises UnreadableError."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UnreadableError("a list of values is no array") from error
    if array.dtype.kind not in "fiubU":
        raise UnreadableError(f"a list of values is no array of numbers but of {array.dtype}")
    return owned(array)


def owned(array: Array) -> Array:
    """The array in memory of its own, native and contiguous; floats as float32."""
    return np.array(array, np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("="), order="C")


def _texts(raw: bytes | memoryview) -> Iterable[str]:
    place = 0
    while place < len(raw):
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4 + size
        yield bytes(raw[place - size : place]).decode()
