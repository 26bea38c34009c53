"""What is written where a person said: a place that cannot be written is theirs to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakeoff.errors import UserError


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raises UserError for an OSError of the code within, which writes to that file, or into that folder."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{place}: cannot be written: {error.strerror or error}") from None


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """The same for a folder, which is made if need be."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield
