"""Recorded arrivals: a CSV or Parquet file of when requests came and how many items each of them scored."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from bakeoff.errors import UserError
from bakeoff.scenario.fields import Part, Reading, as_tuple, existing
from bakeoff.scenario.sizes import MOST_ITEMS, Share

if TYPE_CHECKING:
    import pandas as pd

ARRIVAL, ITEMS = "arrival", "items"
SUFFIXES = (".csv", ".parquet")
FEWEST_ARRIVALS, MOST_ARRIVALS = 100, 10_000_000
MOST_SIZES = 32
"""Sizes that a workload prepares requests for; each request of the trace gets the nearest."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a trace holds: seconds of each arrival from the first one on (float64, ascending), and items (int32)."""

    times_s: np.ndarray[Any, np.dtype[np.float64]]
    items: np.ndarray[Any, np.dtype[np.int32]] | None

    @property
    def qps(self) -> float:
        """Requests per second, on average."""
        return (len(self.times_s) - 1) / float(self.times_s[-1])

    def sizes(self) -> tuple[Share, ...] | None:
        """At most 32 numbers of items that stand for all of them, and their shares of the requests; None without items.

        Of more, those that together make a 32nd of the work become one, their mean: the large ones, which make the
        tail of the latency, stay apart.
        """
        if self.items is None:
            return None
        sizes, counts = np.unique(self.items, return_counts=True)
        if len(sizes) > MOST_SIZES:
            work = np.cumsum(sizes * counts)
            group = (work - sizes * counts / 2) * MOST_SIZES // work[-1]
            _, group = np.unique(group, return_inverse=True)
            requests = np.bincount(group, counts)
            means = np.rint(np.bincount(group, sizes * counts) / requests).astype(int)
            sizes, group = np.unique(means, return_inverse=True)
            counts = np.bincount(group, requests)
        shares = counts / counts.sum()
        return tuple(Share(int(size), float(share)) for size, share in zip(sizes, shares, strict=True))


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value


class Trace(Part):
    """A file of recorded arrivals, as it was when the scenario was read."""

    file: Annotated[Path, BeforeValidator(_path)] = Field(description="The file, absolute.")
    sha256: str = Field(description="The digest of its bytes: a run goes on with the same trace alone.")
    requests: int = Field(gt=0, description="How many arrivals it holds.")
    qps: float = Field(gt=0, description="Its own mean rate, in requests per second.")
    sizes: Annotated[tuple[Share, ...] | None, BeforeValidator(as_tuple)] = Field(
        default=None, description="Numbers of items that stand for those of its requests, and their shares."
    )

    @classmethod
    def of(cls, file: Path) -> Trace:
        """The trace in a file; raises ValueError with what is wrong with it."""
        data = _bytes(file)
        found = parse(data, file.suffix)
        digest = hashlib.sha256(data).hexdigest()
        return cls(file=file, sha256=digest, requests=len(found.times_s), qps=found.qps, sizes=found.sizes())

    def read(self) -> Recorded:
        """Its arrivals; raises UserError where the file is not any more what it was."""
        try:
            data = _bytes(self.file)
        except ValueError as error:
            raise UserError(f"{self.file}: {error}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise UserError(f"{self.file}: has changed since the scenario was read")
        return parse(data, self.file.suffix)


def parse(data: bytes, suffix: str) -> Recorded:
    """The arrivals in a file's bytes, sorted by time; raises ValueError with what is wrong."""
    table = _table(data, suffix)
    if ARRIVAL not in table:
        raise ValueError(f"has no column {ARRIVAL}: seconds as a number, or ISO 8601 timestamps")
    if not FEWEST_ARRIVALS <= len(table) <= MOST_ARRIVALS:
        raise ValueError(f"has {len(table):,} arrivals; a trace has from {FEWEST_ARRIVALS} to {MOST_ARRIVALS:,}")
    seconds = _seconds(table[ARRIVAL])
    order = np.argsort(seconds, kind="stable")
    times_s = seconds[order] - seconds[order[0]]
    if not times_s[-1] > 0:
        raise ValueError("has all its arrivals at one moment")
    return Recorded(times_s, _items(table[ITEMS])[order] if ITEMS in table else None)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _table(data: bytes, suffix: str) -> pd.DataFrame:
    """The columns that a trace may have."""
    import pandas as pd

    try:
        if suffix == ".csv":
            wanted = (ARRIVAL, ITEMS).__contains__
            return pd.read_csv(io.BytesIO(data), usecols=wanted, skipinitialspace=True, low_memory=False)
        table = pd.read_parquet(io.BytesIO(data))
        return table[[name for name in (ARRIVAL, ITEMS) if name in table]]
    except (ValueError, OSError, NotImplementedError):
        raise ValueError(f"is not a readable {suffix} file with a column {ARRIVAL}") from None


def _seconds(column: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        seconds = column.to_numpy(np.float64, na_value=np.nan)
    else:
        try:
            moments = pd.to_datetime(column, utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
        except (ValueError, TypeError):
            raise ValueError(f"has a column {ARRIVAL} that is neither seconds nor ISO 8601 timestamps") from None
        seconds = (moments - moments.min()).dt.total_seconds().to_numpy(np.float64)
    _refuse(~np.isfinite(seconds), f"has no finite {ARRIVAL}")
    return seconds


def _items(column: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ValueError(f"has a column {ITEMS} that is not numbers")
    items = column.to_numpy(np.float64, na_value=np.nan)
    _refuse(
        ~((items >= 1) & (items <= MOST_ITEMS) & (items == np.rint(items))), f"must have {ITEMS} from 1 to {MOST_ITEMS}"
    )
    return items.astype(np.int32)


def _refuse(wrong: np.ndarray[Any, np.dtype[np.bool_]], what: str) -> None:
    if wrong.any():
        raise ValueError(f"row {int(np.argmax(wrong)) + 1} {what}")


def _trace(value: Any, info: ValidationInfo) -> Any:
    reading = Reading.of(info)
    if value is None or reading.restored:
        return value
    return Trace.of(existing(value, reading.folder, SUFFIXES, "a file of recorded arrivals"))


TraceField = Annotated[
    Trace | None,
    BeforeValidator(_trace),
    WithJsonSchema({"type": "string", "pattern": r"\.(csv|parquet)$", "examples": ["requests.csv"]}),
]
