"""What several verbs share: options, and how they print and end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.errors import UserError

if TYPE_CHECKING:
    from bakeoff.decide.judgement import Verdict
    from bakeoff.show.mlperf import Written

INFEASIBLE = 4
MLPERF, PYTEST_BENCHMARK = "mlperf", "pytest-benchmark"

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


def write_json(data: Any, path: Path | None) -> None:
    """Write strict JSON to a file, or print it; raises UserError where the file cannot be written."""
    if path is None:
        print_json(data)
        return
    from bakeoff.show.writable import writing

    with writing(path):
        path.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_fail_on(fail_on: str | None) -> None:
    """Raise UserError where `--fail-on` names nothing known."""
    if fail_on not in (None, "infeasible"):
        raise UserError(f"--fail-on {fail_on}: unknown; it takes infeasible")


def check_format(option: str, name: str, known: tuple[str, ...] = (MLPERF,)) -> None:
    """Raise UserError where an export format is none."""
    if name not in known:
        raise UserError(f"{option} {name}: unknown; it takes {' or '.join(known)}")


def tell_written(written: Written, err: bool = False) -> None:
    """Name the folders of an export, and what it left out."""
    for folder in written.folders:
        typer.echo(f"wrote {folder}", err=err)
    tell_left_out(written.left_out)


def tell_left_out(names: Sequence[str]) -> None:
    """Name the candidates that an export has not."""
    if names:
        typer.echo(f"left out, with no block under the scenario's load: {', '.join(names)}", err=True)


def exit_by(fail_on: str | None, verdicts: tuple[Verdict, ...]) -> None:
    """End with the exit code that `--fail-on` asks for."""
    if fail_on == "infeasible" and any(verdict.verdict == "INFEASIBLE" for verdict in verdicts):
        raise typer.Exit(INFEASIBLE)
