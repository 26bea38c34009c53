"""The tidy frame in the formats that other tools read. Absent figures stay absent: empty in CSV, null in JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_STANDARD_OUTPUT = Path("-")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """CSV with a header to a file, or to standard output where `path` is "-"."""
    if path == _STANDARD_OUTPUT:
        frame.to_csv(sys.stdout, index=False)
        return
    _check(path)
    frame.to_csv(path, index=False)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Parquet, types kept."""
    _check(path)
    frame.to_parquet(path, index=False)


def json_text(frame: pd.DataFrame) -> str:
    """A JSON list with an object per row; times in ISO 8601."""
    return str(frame.to_json(orient="records", date_format="iso", indent=2))


def plain_text(frame: pd.DataFrame) -> str:
    """All rows and columns for a terminal, as wide as they are."""
    return str(frame.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.4g}"))


def _check(path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file's name")
