"""Writes a night into a file, in a form named on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bakeoff.decide.drift.answers import Night
from bakeoff.errors import UserError
from bakeoff.show.nightly import lists
from bakeoff.show.nightly.junit import junit
from bakeoff.show.nightly.pages import markdown

JSON, SUMMARY, JUNIT, SMALLER, OTAVA = "json", "summary", "junit", "smaller-is-better", "otava"
FORMATS: Mapping[str, Callable[[Sequence[Night]], str]] = {
    JSON: lambda nights: _json(lists.to_json(nights[-1])),
    SUMMARY: lambda nights: markdown(nights[-1]),
    JUNIT: lambda nights: junit(nights[-1]),
    SMALLER: lambda nights: _json(lists.smaller_is_better(nights[-1])),
    OTAVA: lists.otava,
}
"""By name, what makes the text of a form out of nights, in the order in which they began: of the last one, otava's of
all."""
STANDARD_OUTPUT = Path("-")


def check(form: str) -> None:
    """Raise UserError where a form is none."""
    if form not in FORMATS:
        raise UserError(f"--write {form}: unknown; it takes {', '.join(FORMATS)}")


def write(form: str, night: Night, path: Path, earlier: Sequence[Night] = ()) -> None:
    """Write a night to a file, or to standard output where `path` is "-".

    A summary is added to what the file holds, as CI steps do; every other form replaces it. `earlier` nights, among
    which it may be itself, are for otava. Raises UserError for a form that is none and a file that cannot be written.
    """
    check(form)
    text = FORMATS[form]([*(each for each in earlier if each.night != night.night), night])
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        with path.open("a" if form == SUMMARY else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _json(value: object) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
