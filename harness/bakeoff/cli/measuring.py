"""Verbs that prepare and measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bakeoff.cli.common import (
    BackendOption,
    FailOption,
    JsonOption,
    StoreOption,
    check_fail_on,
    check_format,
    exit_by,
    print_json,
    show,
    tell_written,
)
from bakeoff.errors import UserError

INTERRUPTED = 130

app = typer.Typer()

ExportOption = Annotated[
    tuple[str, Path] | None,
    typer.Option(metavar="mlperf DIR", help="Write logs in MLPerf LoadGen's format into a folder, too."),
]


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
        print_json(found)
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
    versus: Annotated[
        list[str] | None,
        typer.Option(help="Try this version of an engine, too, as in onnxruntime==1.30.0. Repeatable."),
    ] = None,
    candidate: Annotated[list[str] | None, typer.Option(help="Only this candidate (its id). Repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Bounds building and measuring, as in 90s or 10m.")] = None,
    qps: Annotated[
        str | None,
        typer.Option(help="Requests per second that one replica is driven at; or max: how much can it take?"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Items scored per request.")] = None,
    p99: Annotated[str | None, typer.Option(help="The limit of the 99th percentile of latency, as in 20ms.")] = None,
    device: Annotated[str | None, typer.Option(help="Where the model runs: cpu, cuda or cuda:1.")] = None,
    objective: Annotated[
        str | None, typer.Option(help="What the best has the least of: cost, throughput, p99, memory or energy.")
    ] = None,
    exhaustive: Annotated[
        bool | None, typer.Option("--exhaustive", help="Every candidate plays every round; none is dropped as dearer.")
    ] = None,
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

    check_fail_on(fail_on)
    options: dict[str, Any] = {
        "qps": _number(qps), "batch_size": batch_size, "p99": p99, "device": device, "seed": seed,
        "workload": workload, "objective": objective, "exhaustive": exhaustive, "backends": backend, "versus": versus,
    }  # fmt: skip
    if resume and (what or candidate or any(value is not None for value in options.values())):
        raise UserError("--resume: takes --budget and --store alone; the run keeps its scenarios and options")
    if budget is not None:
        api.duration_s("--budget", budget)
    if export:
        check_format("--export", export[0])
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
    show(done, as_json)
    typer.echo(f"report: {done.report()}", err=as_json)
    if export:
        tell_written(done.export_mlperf(export[1]), err=as_json)
    exit_by(fail_on, done.verdict())


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
        print_json({"rows": [row.to_json() for row in rows]})
    else:
        losses.render(rows)


@app.command(epilog="Example: bakeoff techniques")
def techniques() -> None:
    """List the compression techniques that variants can name."""
    from bakeoff.show import losses
    from bakeoff.variants import listed

    losses.render_techniques(listed())


def _number(text: str | None) -> float | str | None:
    """A number where it is one; the scenario says what is wrong with any other text."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text
