"""Verbs that hand a run to others, and check what others hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, RunArgument, StoreOption, print_json

NOT_VERIFIED = 1

app = typer.Typer()


@app.command(epilog="Example: bakeoff bundle latest --to ctr-ranking.zip")
def bundle(
    run: RunArgument = "latest",
    store: StoreOption = None,
    to: Annotated[Path | None, typer.Option(help="The file to write. Default: RUN.zip.")] = None,
    with_host: Annotated[
        bool, typer.Option("--with-host", help="Keep host names, the user's name and absolute paths.")
    ] = False,
) -> None:
    """Write all that a run's verdict rests on into one zip file, for others to check with `bakeoff verify`."""
    from bakeoff import api

    typer.echo(f"wrote {api.load(run, store).bundle(to, with_host)}")


@app.command(epilog="Example: bakeoff verify ctr-ranking.zip")
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `bakeoff bundle` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Compute a bundle's verdict anew, without any engine; exit 1 where it is not what the bundle claims."""
    from bakeoff import api
    from bakeoff.show import bundles

    checked = api.verify(bundle)
    print_json(bundles.as_json(checked)) if as_json else bundles.render(checked)
    raise typer.Exit(NOT_VERIFIED if checked.problem else 0)
