"""What several verbs share: options, and how they print and end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.errors import UserError

if TYPE_CHECKING:
    from bakeoff.decide.judgement import Verdict
    from bakeoff.show.mlperf import Written

INFEASIBLE = 4

StoreOption = Annotated[str | None, typer.Option("--store", help="File or database URL. Default: results/bakeoff.db.")]
RunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help="A run's id or its beginning.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
FailOption = Annotated[str | None, typer.Option("--fail-on", help="infeasible: exit 4 where nothing is feasible.")]
BackendOption = Annotated[list[str] | None, typer.Option("--backend", help="Only this backend. Repeatable.")]


def show(run: Any, as_json: bool) -> None:
    """Print a run's verdicts."""
    if as_json:
        from bakeoff.decide.verdict import to_json

        print_json(to_json(run.record(), run.verdict()))
    else:
        from bakeoff.show import console

        console.render(run.verdict())


def print_json(data: Any) -> None:
    """Print strict JSON."""
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def check_fail_on(fail_on: str | None) -> None:
    """Raise UserError where `--fail-on` names nothing known."""
    if fail_on not in (None, "infeasible"):
        raise UserError(f"--fail-on {fail_on}: unknown; it takes infeasible")


def check_format(option: str, name: str) -> None:
    """Raise UserError where an export format is none."""
    if name != "mlperf":
        raise UserError(f"{option} {name}: unknown; it takes mlperf")


def tell_written(written: Written, err: bool = False) -> None:
    """Name the folders of an export, and what it left out."""
    for folder in written.folders:
        typer.echo(f"wrote {folder}", err=err)
    if written.left_out:
        typer.echo(f"left out, with no block under the scenario's load: {', '.join(written.left_out)}", err=True)


def exit_by(fail_on: str | None, verdicts: tuple[Verdict, ...]) -> None:
    """End with the exit code that `--fail-on` asks for."""
    if fail_on == "infeasible" and any(verdict.verdict == "INFEASIBLE" for verdict in verdicts):
        raise typer.Exit(INFEASIBLE)
