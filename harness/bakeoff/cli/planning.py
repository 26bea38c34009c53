"""The verb that plans a shop's fleet from a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, RunArgument, StoreOption, print_json

app = typer.Typer()


@app.command(epilog="Example: bakeoff plan latest --fleet-qps 1M")
def plan(
    run: RunArgument = "latest",
    scenario: Annotated[str | None, typer.Option(help="The scenario's name, where the run has several.")] = None,
    candidate: Annotated[str | None, typer.Option(help="Its id. Default: the verdict's choice.")] = None,
    fleet_qps: Annotated[
        str | None,
        typer.Option(help="The shop's requests per second at its peak, as in 12k or 1M. Default: the scenario's."),
    ] = None,
    replicas: Annotated[int | None, typer.Option(help="How many at the peak. Default: by the formula.")] = None,
    balancing: Annotated[str, typer.Option(help="random, round-robin or least-loaded.")] = "random",
    trace: Annotated[
        str, typer.Option(metavar="daily|FILE", help="The day: a typical one, a CSV of hour,factor, or arrivals.")
    ] = "daily",
    lost: Annotated[int, typer.Option(help="How many replicas are lost at the peak.")] = 1,
    to: Annotated[Path | None, typer.Option(help="Write a chart into this folder, too.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate the shop's fleet: how many replicas, their latency at the peak and over a day, and what they cost."""
    from bakeoff import api

    found = api.load(run, store).plan(
        scenario, candidate, fleet_qps=fleet_qps, replicas=replicas, balancing=balancing, trace=trace, lost=lost
    )
    if as_json:
        print_json(found.to_json())
    else:
        from bakeoff.show import fleet

        fleet.render(found)
    if to is not None:
        from bakeoff.show import fleet_chart

        for path in fleet_chart.save(found, to):
            typer.echo(f"wrote {path}", err=as_json)
