"""The verb that shows what the cache holds, and removes what nobody uses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, print_json
from bakeoff.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: bakeoff cache --unused-days 30 --remove")
def cache(
    unused_days: Annotated[
        int | None, typer.Option("--unused-days", min=1, metavar="DAYS", help="Only what nobody used for so long.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these; what is needed again is made again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the cache of models, data, artifacts and environments holds, and remove what nobody uses."""
    from bakeoff.show import cached, sheet
    from bakeoff.workloads import cache_dir, housekeeping

    if remove and unused_days is None:
        raise UserError("--remove: goes with --unused-days, as in --unused-days 30 --remove")
    found = housekeeping.remove(unused_days) if remove and unused_days else housekeeping.kept(unused_days or 0)
    if as_json:
        folders = [asdict(each) | {"place": f"{each.kind}/{each.place.name}"} for each in found]
        print_json({"cache": str(cache_dir()), "removed": remove, "folders": folders})
    else:
        sheet.render([cached.listed(found, unused_days, remove) if unused_days else cached.summary(found)])
