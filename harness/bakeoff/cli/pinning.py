"""The verb that moves the baseline of the nightly check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json

app = typer.Typer()


@app.command(epilog="Example: bakeoff pin scenarios/ctr-ranking.yaml --reason 'onnxruntime 1.31'")
def pin(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Scenario files, folders of them, or names of pinned ones. Default: scenarios/.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the baseline moves; it is kept in the pin.")] = "",
    candidate: Annotated[
        list[str] | None, typer.Option(help="Pin this candidate (its id), and no other. Repeatable.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Pin what this run chose. Default: the latest; of a pinned scenario named, its candidates."),
    ] = None,
    baseline: Annotated[Path, typer.Option(help="The folder of the pins.")] = Path("results/baseline"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pin what `bakeoff check` compares with; nothing else ever moves a baseline."""
    from bakeoff import api
    from bakeoff.show import console

    with console.Progress() as reporter:
        found = api.pin(
            *(what or ()),
            reason=reason,
            candidates=candidate or (),
            run=run,
            baseline=baseline,
            store=store,
            reporter=reporter,
        )
    if as_json:
        told = [
            {"scenario": each.pin.name, "path": str(each.path), "digest": each.pin.digest}
            | {"moves": list(each.moves), "warnings": list(each.warnings)}
            for each in found
        ]
        print_json({"pins": told})
        return
    for each in found:
        typer.echo(f"{each.pin.name}: pinned ({each.pin.digest}) in {each.path}")
        for line in each.moves:
            typer.echo(f"  {line}")
        for line in each.warnings:
            typer.echo(f"bakeoff: warning: {line}", err=True)
