"""The command line: one short function per verb. Everything heavy is imported inside the verb that needs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff import __version__
from bakeoff.errors import UserError

if TYPE_CHECKING:
    from bakeoff.decide.judgement import Verdict
    from bakeoff.show.mlperf import Written

BAD_INPUT = 2
CHECK_FAILED = 1
INFEASIBLE = 4
INTERRUPTED = 130

app = typer.Typer(
    name="bakeoff",
    help="Which inference engine, which compression and which settings should serve this model, for this traffic?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StoreOption = Annotated[str | None, typer.Option("--store", help="File or database URL. Default: results/bakeoff.db.")]
RunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help="A run's id or its beginning.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
FailOption = Annotated[str | None, typer.Option("--fail-on", help="infeasible: exit 4 where nothing is feasible.")]
ExportOption = Annotated[
    tuple[str, Path] | None,
    typer.Option(metavar="mlperf DIR", help="Write logs in MLPerf LoadGen's format into a folder, too."),
]
BackendOption = Annotated[list[str] | None, typer.Option("--backend", help="Only this backend. Repeatable.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bakeoff {__version__}")
        raise typer.Exit


@app.callback()
def _bakeoff(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before the verb."""


def main() -> None:
    """The entry point: bad input is one line and exit 2."""
    try:
        app()
    except UserError as error:
        typer.echo(f"bakeoff: {error}", err=True)
        sys.exit(BAD_INPUT)


@app.command(epilog="Example: bakeoff init scenarios")
def init(
    folder: Annotated[Path, typer.Argument(help="Where the scenario files go.")] = Path("scenarios"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of the same name.")] = False,
) -> None:
    """Write the starter scenarios into a folder."""
    from bakeoff.starter_files import write_starters

    for path in write_starters(folder, force):
        typer.echo(f"wrote {path}")
    typer.echo(f"next: bakeoff run {folder} --budget 10m")


@app.command(epilog="Example: bakeoff doctor")
def doctor(
    as_json: JsonOption = False,
    device: Annotated[str, typer.Option("--device", help="The device to ask the backends about.")] = "cpu",
) -> None:
    """Say what each backend can do here, what this machine is, and how noisy it is now."""
    from bakeoff.contest.checkup import checkup

    found = checkup(device)
    if as_json:
        _print_json(found)
    else:
        from bakeoff.show import console

        console.render_doctor(found)


@app.command(epilog="Example: bakeoff prepare scenarios")
def prepare(
    what: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO|MODEL]...")] = None,
) -> None:
    """Download, train and build ahead all that is kept, so that a run's budget goes into measuring."""
    from bakeoff import api
    from bakeoff.show import console

    with console.Progress() as reporter:
        api.prepare(*(what or ()), reporter=reporter)


@app.command(epilog="Example: bakeoff run model.onnx --qps 500 --p99 20ms")
def run(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCENARIO|MODEL]...", help="Scenario files, folders of them, or models."),
    ] = None,
    workload: Annotated[str | None, typer.Option(help="Another model for the scenarios' traffic.")] = None,
    backend: BackendOption = None,
    candidate: Annotated[list[str] | None, typer.Option(help="Only this candidate (its id). Repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Bounds building and measuring, as in 90s or 10m.")] = None,
    qps: Annotated[
        str | None,
        typer.Option(help="Requests per second that one replica is driven at; or max: how much can it take?"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Items scored per request.")] = None,
    p99: Annotated[str | None, typer.Option(help="The limit of the 99th percentile of latency, as in 20ms.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all that is random.")] = None,
    store: StoreOption = None,
    resume: Annotated[str | None, typer.Option(help="Finish this run: latest, or its id.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the candidates and their time; run nothing.")
    ] = False,
    export: ExportOption = None,
    as_json: JsonOption = False,
    fail_on: FailOption = None,
) -> None:
    """Measure every candidate under the scenario's load, and recommend one. Writes the report, too."""
    from bakeoff import api
    from bakeoff.show import console

    _check_fail_on(fail_on)
    options: dict[str, Any] = {
        "qps": _number(qps), "batch_size": batch_size, "p99": p99, "seed": seed, "workload": workload,
        "backends": backend,
    }  # fmt: skip
    if resume and (what or candidate or any(value is not None for value in options.values())):
        raise UserError("--resume: takes --budget and --store alone; the run keeps its scenarios and options")
    if budget is not None:
        api.duration_s("--budget", budget)
    if export:
        _check_format("--export", export[0])
        if dry_run:
            raise UserError("--export: writes what was measured; --dry-run measures nothing")
    if dry_run:
        console.render_plan(api.dry_run(*(what or ()), candidates=candidate or (), **options))
        return
    try:
        with console.Progress() as reporter:
            if resume:
                done = api.resume(resume, budget, store, reporter)
            else:
                done = api.run(
                    *(what or ()), budget=budget, candidates=candidate or (), store=store, reporter=reporter, **options
                )
    except KeyboardInterrupt:
        typer.echo("stopped; `bakeoff run --resume latest` goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show(done, as_json)
    typer.echo(f"report: {done.report()}", err=as_json)
    if export:
        _tell_written(done.export_mlperf(export[1]), err=as_json)
    _exit_by(fail_on, done.verdict())


@app.command(epilog="Example: bakeoff quality ctr-dlrm --variants base,prune:0.5,'distill > int8'")
def quality(
    what: Annotated[str, typer.Argument(metavar="WORKLOAD|SCENARIO|MODEL", help="Whose quality is judged.")],
    variants: Annotated[
        str | None,
        typer.Option(help="Techniques behind commas, as in base,prune:0.5,lowrank:16. Default: the scenario's."),
    ] = None,
    backend: BackendOption = None,
    seeds: Annotated[int, typer.Option(help="Train with so many seeds, to see what the seed alone changes.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of all that is random.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge what compression costs: each variant scored on held-out data by the engine that would serve it."""
    from bakeoff import api
    from bakeoff.show import console, losses

    asked = [each for each in (variants or "").split(",") if each.strip()]
    with console.Progress() as reporter:
        rows = api.quality(what, asked, backend or (api.DEFAULT_BACKEND,), seeds=seeds, seed=seed, reporter=reporter)
    if as_json:
        _print_json({"rows": [row.to_json() for row in rows]})
    else:
        losses.render(rows)


@app.command(epilog="Example: bakeoff techniques")
def techniques() -> None:
    """List the compression techniques that variants can name."""
    from bakeoff.show import losses
    from bakeoff.variants import listed

    losses.render_techniques(listed())


@app.command(epilog="Example: bakeoff verdict latest --json")
def verdict(
    run: RunArgument = "latest", store: StoreOption = None, as_json: JsonOption = False, fail_on: FailOption = None
) -> None:
    """Say again what a stored run recommends, and why not the others."""
    from bakeoff import api

    _check_fail_on(fail_on)
    loaded = api.load(run, store)
    _show(loaded, as_json)
    _exit_by(fail_on, loaded.verdict())


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
    to: Annotated[Path, typer.Option(help="The folder to write into.")],
    run: RunArgument = "latest",
    store: StoreOption = None,
    format_: Annotated[str, typer.Option("--format", help="mlperf: the logs of MLPerf LoadGen.")] = "mlperf",
) -> None:
    """Write a run's measurements in another tool's format, a folder for each candidate."""
    from bakeoff import api

    _check_format("--format", format_)
    _tell_written(api.load(run, store).export_mlperf(to))


@app.command(epilog="Example: bakeoff schema > scenario.schema.json")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from bakeoff.scenario import json_schema

    _print_json(json_schema())


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
        _print_json(compared.as_json()) if as_json else telling.render_compared(compared)
    else:
        found = alone.run(service_s)
        _print_json(found.as_json()) if as_json else telling.render(found)


@app.command(epilog="Example: bakeoff conformance onnxruntime")
def conformance(backend: Annotated[str, typer.Argument(help="A backend's name, or module:Class.")]) -> None:
    """Check that a backend does what every backend must do; exit 1 where it does not."""
    from bakeoff import conformance as suite
    from bakeoff.show import console

    checks = suite.run(backend)
    console.render_conformance(checks)
    raise typer.Exit(0 if all(check.ok for check in checks) else CHECK_FAILED)


def _show(run: Any, as_json: bool) -> None:
    if as_json:
        from bakeoff.decide.verdict import to_json

        _print_json(to_json(run.record(), run.verdict()))
    else:
        from bakeoff.show import console

        console.render(run.verdict())


def _number(text: str | None) -> float | str | None:
    """A number where it is one; the scenario says what is wrong with any other text."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def _check_fail_on(fail_on: str | None) -> None:
    if fail_on not in (None, "infeasible"):
        raise UserError(f"--fail-on {fail_on}: unknown; it takes infeasible")


def _check_format(option: str, name: str) -> None:
    if name != "mlperf":
        raise UserError(f"{option} {name}: unknown; it takes mlperf")


def _tell_written(written: Written, err: bool = False) -> None:
    for folder in written.folders:
        typer.echo(f"wrote {folder}", err=err)
    if written.left_out:
        typer.echo(f"left out, with no block under the scenario's load: {', '.join(written.left_out)}", err=True)


def _exit_by(fail_on: str | None, verdicts: tuple[Verdict, ...]) -> None:
    if fail_on == "infeasible" and any(verdict.verdict == "INFEASIBLE" for verdict in verdicts):
        raise typer.Exit(INFEASIBLE)
