"""Reads the columns of a Parquet or .npz file as numpy arrays, one row per item."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.errors import UserError
from bakeoff.workloads.prepared import Array


def read_columns(file: Path) -> dict[str, Array]:
    """Every column by name; raises UserError where the file is not what its suffix says."""
    columns = _read_npz(file) if file.suffix == ".npz" else _read_parquet(file)
    if not columns:
        raise UserError(f"{file}: has no columns")
    return columns


def _read_npz(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: is no .npz file of plain arrays: {_one_line(error)}") from error
    for name, column in columns.items():
        if column.ndim == 0:
            raise UserError(f"{file}: array {name} is a single number; arrays of rows are needed")
    return columns


def _read_parquet(file: Path) -> dict[str, Array]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = pa.parquet.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: is no Parquet file: {_one_line(error)}") from error
    return {name: _array(file, name, table.column(name)) for name in table.column_names}


def _array(file: Path, name: str, column: Any) -> Array:
    """A column as [rows] or, for lists of equal length, as [rows, length, …]."""
    import pyarrow as pa

    if column.null_count:
        raise UserError(f"{file}: column {name} has {column.null_count} empty values")
    values, lengths = column.combine_chunks(), []
    rows = len(values)
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    while any(each(values.type) for each in is_list):
        count, values = len(values), values.flatten()
        length, rest = divmod(len(values), count or 1)
        if rest:
            raise UserError(f"{file}: column {name} has lists of unlike lengths; pad them to one")
        lengths.append(length)
    flat: Array = values.to_numpy(zero_copy_only=False)
    return flat.reshape(rows, *lengths)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
