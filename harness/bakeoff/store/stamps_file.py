"""The stamps of all blocks of a run as one Parquet file: a row per request, a row group per block."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.measure.block import Block
from bakeoff.store.portable import Head, Where

_LABELS = ("scenario", "candidate")
_PLACE = ("round", "position")
_COUNTS = ("request", "items")
_STAMPS = ("scheduled_ns", "sent_ns", "started_ns", "done_ns")
_SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in _LABELS]
    + [pa.field(name, pa.int32(), nullable=False) for name in (*_PLACE, *_COUNTS)]
    + [pa.field(name, pa.int64(), nullable=False) for name in _STAMPS]
)


def stamps_bytes(blocks: Iterable[tuple[Where, Block]]) -> bytes:
    """The file's bytes; stamps as `Block` holds them, in nanoseconds since the block's start, -1 for what never was."""
    sink = pa.BufferOutputStream()
    packing = dict.fromkeys((*_PLACE, *_COUNTS, *_STAMPS), "DELTA_BINARY_PACKED")
    options = {"compression": "zstd", "use_dictionary": list(_LABELS), "column_encoding": packing}
    with pq.ParquetWriter(sink, _SCHEMA, **options) as writer:
        for where, block in blocks:
            writer.write_table(_table(where, block), row_group_size=max(1, len(block)))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _table(where: Where, block: Block) -> pa.Table:
    fields = [_SCHEMA.field(name) for name in (*_LABELS, *_PLACE)]
    columns = [pa.repeat(pa.scalar(value, field.type), len(block)) for value, field in zip(where, fields, strict=True)]
    columns += [pa.array(getattr(block, name)) for name in (*_COUNTS, *_STAMPS)]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


class StampsFile:
    """The blocks in such a file, read one at a time; every method raises ValueError for what is none of these."""

    def __init__(self, data: bytes) -> None:
        self._file = pq.ParquetFile(pa.BufferReader(data))
        if not self._file.schema_arrow.equals(_SCHEMA):
            raise ValueError("its columns are not those of stamps")

    def __len__(self) -> int:
        return int(self._file.num_row_groups)

    def block(self, number: int, where: Where, head: Head) -> Block:
        """One block; its rows must be as many as its head says, and be labelled as where it belongs."""
        if number >= len(self) or self._file.metadata.row_group(number).num_rows != head.requests:
            raise ValueError(f"it does not hold {head.requests} requests in block {number}")
        table = self._file.read_row_group(number, use_threads=False)
        for name, value in zip((*_LABELS, *_PLACE), where, strict=True):
            if table[name].unique().to_pylist() not in ([value], []):
                raise ValueError(f"block {number} is not all of {name} {value}")
        columns = {name: table[name].to_numpy() for name in (*_COUNTS, *_STAMPS)}
        return Block(**head.model_dump(include=set(_OF_HEAD)), **columns)


_OF_HEAD = ("kind", "offered_qps", "wall_ns", "cpu_ns", "facts")
