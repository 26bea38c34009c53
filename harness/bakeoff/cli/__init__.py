"""The command line: one short function per verb. Everything heavy is imported inside the verb that needs it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bakeoff import __version__
from bakeoff.cli import (
    bundling,
    caching,
    checking,
    history,
    mapping,
    measuring,
    nightly,
    pinning,
    planning,
    several,
    stored,
)
from bakeoff.errors import UserError

BAD_INPUT = 2

app = typer.Typer(
    name="bakeoff",
    help="Which inference engine, which compression and which settings should serve this model, for this traffic?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _verbs in (measuring, stored, mapping, planning, several, bundling, pinning, nightly, history, checking, caching):
    app.add_typer(_verbs.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bakeoff {__version__}")
        raise typer.Exit


@app.callback()
def _bakeoff(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before the verb."""


def main() -> None:
    """The entry point: bad input is one line and exit 2."""
    try:
        app()
    except UserError as error:
        typer.echo(f"bakeoff: {error}", err=True)
        sys.exit(BAD_INPUT)
