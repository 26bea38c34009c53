"""The verb that tells what the nights have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json

app = typer.Typer()


@app.command(epilog="Example: bakeoff history ctr-ranking --figure history.png")
def history(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BENCHMARK]...", help="Parts of names, such as a scenario's. Default: all."),
    ] = None,
    store: StoreOption = None,
    metric: Annotated[str, typer.Option(help="service_time, p99, capacity, memory or load_time.")] = "service_time",
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the chart: a .png or .svg file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show every night's change against its pin, chained over the pins, and where the level changed for good."""
    from bakeoff import api
    from bakeoff.show import sheet
    from bakeoff.show.nightly import history as shown
    from bakeoff.show.nightly import history_chart

    if figure is not None:
        history_chart.check(figure)
    found = api.history(*benchmarks or (), store=store, metric=metric)
    if as_json:
        print_json(shown.to_json(found))
    else:
        sheet.render([shown.sheet(found)])
    if figure is not None:
        history_chart.save(found, figure)
        typer.echo(f"wrote {figure}", err=as_json)
