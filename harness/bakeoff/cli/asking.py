"""The verb that tells one candidate's whole story."""

from __future__ import annotations

from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, RunArgument, StoreOption, print_json

app = typer.Typer()


@app.command(epilog="Example: bakeoff why torch/fp32/1x1")
def why(
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Its id, or a part that no other's id has.")],
    run: RunArgument = "latest",
    scenario: Annotated[str | None, typer.Option(help="Which scenario, where a run has several.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say all about one candidate: its stages, gates and rounds, what it lost by, and what would have to change."""
    from bakeoff import api
    from bakeoff.show import sheet
    from bakeoff.show import why as shown

    found = api.load(run, store).why(candidate, scenario)
    if as_json:
        print_json(shown.to_json(found))
    else:
        sheet.render([shown.sheet(found)])
