"""The nightly check."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json
from bakeoff.cli.measuring import INTERRUPTED
from bakeoff.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: bakeoff check --budget 30m --write junit=check.xml --write summary=check.md")
def check(
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]...", help="Names of pinned scenarios. Default: all.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="The folder of the pins, or pytest-benchmark's JSON. Default: results/baseline.")
    ] = None,
    candidate: Annotated[list[str] | None, typer.Option(help="Only this candidate (its id). Repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Bounds the whole check, as in 30m.")] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Name the package that a regression came with, if the budget allows.")
    ] = False,
    write: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM=FILE", help="Write it as junit, summary, json, smaller-is-better or otava, too."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what is here now with the pinned baseline, side by side; exit 1 on a confirmed regression.

    0: no regression; 2: the check could not be done; 3: too noisy to tell.
    """
    from bakeoff import api
    from bakeoff.show import console
    from bakeoff.show.nightly import lists, pages, writing

    wanted = [_form(each) for each in write or ()]
    try:
        with _terminable(), console.Progress() as reporter:
            night = api.check(
                *(scenarios or ()),
                baseline=baseline,
                candidates=candidate or (),
                budget=budget,
                bisect=bisect,
                store=store,
                reporter=reporter,
            )
    except KeyboardInterrupt:
        typer.echo("bakeoff: stopped; the sessions measured so far are in the store", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for form, path in wanted:
        writing.write(form, night, path)
        typer.echo(f"wrote {path}", err=True)
    if as_json:
        print_json(lists.to_json(night))
    else:
        pages.render(night)
    raise typer.Exit(night.exit_code)


def _form(text: str) -> tuple[str, Path]:
    from bakeoff.show.nightly import writing

    form, given, path = text.partition("=")
    if not given or not path:
        raise UserError(f"--write {text}: must name the form and the file, as in junit=check.xml")
    writing.check(form)
    return form, Path(path)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the check in order: engines closed, the night marked as stopped."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise UserError("stopped by SIGTERM; the sessions measured so far are in the store")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
