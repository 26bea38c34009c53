"""The verb that draws where a verdict holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json

app = typer.Typer()


@app.command(name="map", epilog="Example: bakeoff map latest --to reports/monday")
def map_(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Runs of one question at several batch sizes. Default: latest."),
    ] = None,
    scenario: Annotated[str | None, typer.Option(help="Which scenario, where a run has several.")] = None,
    store: StoreOption = None,
    to: Annotated[Path | None, typer.Option(help="The folder to draw into. Default: reports/RUN.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw who wins over QPS, batch size and SLA, and tell what would turn the verdict."""
    from bakeoff import api
    from bakeoff.show import mapping

    first, *others = [api.load(run, store) for run in runs or ["latest"]]
    found = first.outlook(scenario, others)
    drawn = mapping.save(found, api.DEFAULT_REPORTS / first.id if to is None else to)
    if as_json:
        print_json(mapping.to_json(found))
    else:
        mapping.render(found)
    for path in drawn:
        typer.echo(f"wrote {path}", err=as_json)
