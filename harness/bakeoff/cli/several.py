"""Verbs that put several stored runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json
from bakeoff.errors import UserError

if TYPE_CHECKING:
    from bakeoff.show.sheet import Sheet

app = typer.Typer()

NAMES = "a run's id, its beginning or latest; STORE::RUN in another store; a store alone for its latest run"
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")]


@app.command(epilog="Example: bakeoff join cpu.db gpu=gpu.db::latest --price 'gpu=1.20 USD/gpu-hour'")
def join(
    runs: Annotated[list[str], typer.Argument(metavar="[HOST=]RUN...", help=f"Runs of different hosts: {NAMES}.")],
    store: StoreOption = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this scenario. Repeatable.")] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST=PRICE", help="What a host costs, in place of its scenarios' price. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
    markdown: MarkdownOption = False,
) -> None:
    """Put runs of different hosts side by side by cost at the SLA, and say where the cheaper host changes."""
    from bakeoff import api
    from bakeoff.decide.across import joining as across
    from bakeoff.show import across as shown

    _one_form(as_json, markdown)
    found = api.join(*runs, store=store, scenarios=scenario or (), prices=_by_host(price or ()))
    _tell(shown.sheets(found), across.to_json(found) if as_json else None, markdown)


@app.command(epilog="Example: bakeoff compare 20261121 latest")
def compare(
    older: Annotated[str, typer.Argument(metavar="OLDER", help=f"The older run: {NAMES}.")],
    newer: Annotated[str, typer.Argument(metavar="NEWER", help="The newer run, named alike.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
    markdown: MarkdownOption = False,
) -> None:
    """Say what changed from one run to another, and why the choice did."""
    from bakeoff import api
    from bakeoff.decide.across import change
    from bakeoff.show import change as shown

    _one_form(as_json, markdown)
    found = api.compare(older, newer, store=store)
    _tell(shown.sheets(found), change.to_json(found) if as_json else None, markdown)


def _one_form(as_json: bool, markdown: bool) -> None:
    if as_json and markdown:
        raise UserError("--json and --markdown: one of the two")


def _tell(sheets: Iterable[Sheet], data: Mapping[str, Any] | None, markdown: bool) -> None:
    """As JSON where there is `data`, else as Markdown or for the terminal."""
    from bakeoff.show import sheet

    if data is not None:
        print_json(data)
    elif markdown:
        typer.echo(sheet.markdown(sheets))
    else:
        sheet.render(sheets)


def _by_host(prices: list[str] | tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in prices:
        host, given, price = text.rpartition("=")
        if not given or not host:
            raise UserError(f"--price {text}: must name the host, as in 'gpu=1.20 USD/gpu-hour'")
        found[host] = price
    return found
