"""Verbs that check scenario files, the measuring itself, and backends."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, print_json
from bakeoff.errors import UserError

CHECK_FAILED = 1

app = typer.Typer()


@app.command(epilog="Example: bakeoff schema > scenario.schema.json")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from bakeoff.scenario import json_schema

    print_json(json_schema())


@app.command(epilog="Example: bakeoff selftest --against loadgen --json")
def selftest(
    against: Annotated[str | None, typer.Option(help="loadgen: drive the same worker with MLPerf LoadGen too.")] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Blocks of each generator at each load, with --against. Default: 6.")
    ] = None,
    service: Annotated[str, typer.Option(help="How long the calibrated service takes for a request.")] = "0.83ms",
    as_json: JsonOption = False,
) -> None:
    """Measure a service of known duration: how true our percentiles are here, and what they can resolve now."""
    from bakeoff import api
    from bakeoff.selftest import against as comparison
    from bakeoff.selftest import alone, telling

    service_s = api.duration_s("--service", service)
    if against not in (None, "loadgen"):
        raise UserError(f"--against {against}: unknown; it takes loadgen")
    if repeats is not None and not against:
        raise UserError("--repeats: goes with --against loadgen")
    if against:
        compared = comparison.run(comparison.REPEATS if repeats is None else repeats, service_s)
        print_json(compared.as_json()) if as_json else telling.render_compared(compared)
    else:
        found = alone.run(service_s)
        print_json(found.as_json()) if as_json else telling.render(found)


@app.command(epilog="Example: bakeoff conformance onnxruntime")
def conformance(
    backends: Annotated[
        list[str] | None, typer.Argument(help="Backends' names, or module:Class. Default: all that are installed.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, or cuda for the first GPU.")] = "cpu",
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table of engines, in Markdown, alone.")] = False,
) -> None:
    """Check that backends do what every backend must do; exit 1 where one does not."""
    from bakeoff import conformance as suite
    from bakeoff.show import console
    from bakeoff.show.field import field

    if as_json and markdown:
        raise UserError("--json and --markdown: one of the two")
    found = {}
    for backend in suite.named(backends or ()):
        found[backend] = suite.run(backend, device=device)
        if not (as_json or markdown):
            console.render_conformance(backend, found[backend])
    if as_json:
        told = [{"backend": name, "checks": [asdict(check) for check in checks]} for name, checks in found.items()]
        print_json({"backends": told})
    if markdown:
        typer.echo(field(found))
    raise typer.Exit(0 if all(check.ok for checks in found.values() for check in checks) else CHECK_FAILED)
