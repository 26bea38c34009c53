"""Verbs that tell what a stored run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.common import (
    MLPERF,
    PYTEST_BENCHMARK,
    FailOption,
    JsonOption,
    RunArgument,
    StoreOption,
    check_fail_on,
    check_format,
    exit_by,
    print_json,
    show,
    tell_left_out,
    tell_written,
    write_json,
)
from bakeoff.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: bakeoff verdict latest --json")
def verdict(
    run: RunArgument = "latest", store: StoreOption = None, as_json: JsonOption = False, fail_on: FailOption = None
) -> None:
    """Say again what a stored run recommends, and why not the others."""
    from bakeoff import api

    check_fail_on(fail_on)
    loaded = api.load(run, store)
    show(loaded, as_json)
    exit_by(fail_on, loaded.verdict())


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


@app.command(epilog="Example: bakeoff table latest --csv run.csv")
def table(
    run: RunArgument = "latest",
    store: StoreOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write CSV to this file; - is standard output.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write Parquet to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give the tidy frame of a run: a row per measured block, and one for each candidate without any."""
    from bakeoff import api
    from bakeoff.show import formats

    frame = api.load(run, store).table()
    if parquet is not None:
        formats.write_parquet(frame, parquet)
    if csv is not None:
        formats.write_csv(frame, csv)
    if as_json:
        typer.echo(formats.json_text(frame))
    elif csv is None and parquet is None:
        typer.echo(formats.plain_text(frame))


@app.command(epilog="Example: bakeoff report latest --to reports/monday")
def report(
    run: RunArgument = "latest",
    store: StoreOption = None,
    to: Annotated[Path | None, typer.Option(help="The folder to write into. Default: reports/RUN.")] = None,
) -> None:
    """Write a run's HTML page, its charts as PNG and SVG, and a Markdown summary."""
    from bakeoff import api

    typer.echo(f"report: {api.load(run, store).report(to)}")


@app.command(epilog="Example: bakeoff export latest --format mlperf --to logs")
def export(
    run: RunArgument = "latest",
    store: StoreOption = None,
    format_: Annotated[
        str, typer.Option("--format", help="mlperf: the logs of MLPerf LoadGen; or pytest-benchmark: its JSON.")
    ] = MLPERF,
    to: Annotated[Path | None, typer.Option(help="The folder to write into (mlperf).")] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write (pytest-benchmark). Default: standard output.")
    ] = None,
) -> None:
    """Write a run's measurements in another tool's format."""
    from bakeoff import api

    check_format("--format", format_, (MLPERF, PYTEST_BENCHMARK))
    if format_ == PYTEST_BENCHMARK:
        if to is not None:
            raise UserError("--to: is a folder for mlperf; pytest-benchmark is one file, --output FILE")
        exported = api.load(run, store).export_pytest_benchmark()
        write_json(exported.document, output)
        tell_left_out(exported.left_out)
    elif to is None or output is not None:
        raise UserError("--format mlperf: takes a folder, --to FOLDER")
    else:
        tell_written(api.load(run, store).export_mlperf(to))
