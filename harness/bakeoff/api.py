"""The Python API, which the command line uses too: run scenarios, and read what runs left."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from bakeoff.contest import appraisal, asking, contest
from bakeoff.contest.reporter import Reporter
from bakeoff.errors import UserError
from bakeoff.measure import environments
from bakeoff.nightly import pin_files, pinning, pins
from bakeoff.scenario import Scenario, find, from_model, load_scenarios, override, units
from bakeoff.scenario.environment import named
from bakeoff.store import naming
from bakeoff.store.nights import Nights
from bakeoff.store.store import Store
from bakeoff.stored_run import DEFAULT_REPORTS as DEFAULT_REPORTS
from bakeoff.stored_run import Run as Run
from bakeoff.workloads import cache_dir

if TYPE_CHECKING:
    from bakeoff.decide.across.change import Change
    from bakeoff.decide.across.joining import Across
    from bakeoff.decide.bundles.bundling import Checked
    from bakeoff.decide.drift.answers import Night
    from bakeoff.decide.drift.past import History
    from bakeoff.nightly.against import Baseline

DEFAULT_STORE = Path("results/bakeoff.db")
DEFAULT_SCENARIOS = Path("scenarios")
DEFAULT_BACKEND = "onnxruntime"
QUALITY_BATCH = 64
"""Rows of a request where quality is asked of a workload without a scenario's traffic."""


class Overrides(TypedDict, total=False):
    """Values that replace a scenario's own: `p99` is a duration such as "20ms", `workload` another model.

    `qps` is a number, or "max": how much can it take? `device` is cpu, cuda or cuda:1. `versus` are requirements
    such as "onnxruntime==1.30.0": each backend that needs the project is tried in an environment with that version,
    too.
    """

    qps: float | str | None
    batch_size: int | None
    p99: str | None
    seed: int | None
    workload: str | None
    device: str | None
    objective: str | None
    exhaustive: bool | None
    backends: Sequence[str] | None
    versus: Sequence[str] | None


def run(
    *what: str | Path | Scenario,
    budget: str | None = None,
    candidates: Sequence[str] = (),
    store: str | Path | None = None,
    reporter: Reporter | None = None,
    **overrides: Unpack[Overrides],
) -> Run:
    """Run scenarios (files, folders, Scenario objects) or models, and give the finished run.

    Nothing named means the folder scenarios/. `budget` such as "90s" bounds building and measuring. The other options
    override the scenarios' own values. Raises UserError for bad input, before anything is written.
    """
    asked = questions(what, **overrides)
    budget_s = None if budget is None else duration_s("--budget", budget)
    ready = contest.ask(asked, candidates=candidates, reporter=reporter)
    command = _command(what or [DEFAULT_SCENARIOS], budget, candidates, overrides)
    place = store_place(store)
    with Store.open(place) as opened:
        run_id = contest.hold(ready, opened, command=command, budget_s=budget_s, logs=logs_folder(), reporter=reporter)
    return Run(run_id, place)


def dry_run(
    *what: str | Path | Scenario,
    candidates: Sequence[str] = (),
    **overrides: Unpack[Overrides],
) -> list[contest.Planned]:
    """Who would take part in `run`, and how long a first look at each would take; nothing is written."""
    asked = questions(what, **overrides)
    return contest.dry_run(asked, candidates)


def resume(
    name: str = "latest",
    budget: str | None = None,
    store: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Go on with a run that was killed, stopped or short of time, without measuring anything twice."""
    budget_s = None if budget is None else duration_s("--budget", budget)
    place = store_place(store)
    with Store.open(place, create=False) as opened:
        run_id = opened.resolve(name)
        contest.resume(run_id, opened, budget_s=budget_s, logs=logs_folder(), reporter=reporter)
    return Run(run_id, place)


def pin(
    *what: str | Path | Scenario,
    reason: str,
    candidates: Sequence[str] = (),
    run: str | None = None,
    baseline: str | Path = pin_files.DEFAULT_FOLDER,
    store: str | Path | None = None,
    reporter: Reporter | None = None,
) -> list[pinning.Moved]:
    """Move the baseline of the nightly check: pin the choice of each scenario's latest stored run, or of `run`.

    A scenario that is named, and pinned already, is pinned anew with the candidates that its pin has. `candidates`
    (ids) are pinned in place of either. What is not built here is built and kept. Raises UserError for
    bad input, before anything is written.
    """
    pins.require_reason(reason)
    if candidates and run is not None:
        raise UserError("--candidate and --run: one of the two; a candidate is pinned as it is here now")
    files, pinned = pin_files.again(Path(baseline), what)
    asked = questions(files)
    wanted: dict[str, Sequence[str]] = {one.name: candidates for one in asked} if candidates else {}
    wanted = wanted or ({} if run else {one.name: pinned[one.name] for one in asked if one.name in pinned})
    if rest := [one for one in asked if one.name not in wanted]:
        with Store.open(store_place(store), create=False) as opened:
            wanted |= pinning.chosen(rest, opened, run or pinning.LATEST)
    return pinning.move(asked, wanted, reason, Path(baseline), reporter)


def prepare(*what: str | Path | Scenario, reporter: Reporter | None = None) -> None:
    """Download, train, build and score all that a run of these scenarios needs and the cache keeps."""
    contest.make_ready(contest.ask(questions(what), reporter=reporter), reporter)


def quality(
    what: str | Path | Scenario,
    recipes: Sequence[str] = (),
    backends: Sequence[str] = (DEFAULT_BACKEND,),
    *,
    seeds: int = 1,
    seed: int | None = None,
    reporter: Reporter | None = None,
) -> list[appraisal.Row]:
    """What variants lose in quality on held-out data, each scored by the engine that would serve it, and their sizes.

    `what` is a scenario, a built-in workload or a model; `recipes` such as "base", "prune:0.5", "distill > int8" or the
    name of a file among the scenario's variants; default: the base and all of the scenario's. With several `seeds` all
    is trained anew with each. Raises UserError.
    """
    (scenario,) = questions([what], seed=seed, batch_size=None if _names_scenario(what) else QUALITY_BATCH)
    if seeds < 1:
        raise UserError(f"--seeds {seeds}: must be 1 or more")
    return appraisal.appraise(scenario, asking.read(scenario, recipes), backends, seeds, reporter)


def _names_scenario(what: str | Path | Scenario) -> bool:
    return isinstance(what, Scenario) or _is_scenario(Path(what))


def load(name: str = "latest", store: str | Path | None = None) -> Run:
    """A stored run: "latest", its id, or the unique beginning of its id. Raises UserError where there is none."""
    place = store_place(store)
    with Store.open(place, create=False) as opened:
        return Run(opened.resolve(name), place)


def verify(bundle: str | Path) -> Checked:
    """Check what `Run.bundle` wrote: its hashes, and that its verdict follows from its stamps; needs no engine.

    Raises UserError for what is no bundle, or one of a newer format.
    """
    from bakeoff.decide.bundles import bundling

    return bundling.check(Path(bundle))


def join(
    *runs: str,
    store: str | Path | None = None,
    scenarios: Collection[str] = (),
    prices: Mapping[str, str] | None = None,
) -> Across:
    """Runs of different hosts side by side: cost at the SLA, each on its own host at that host's price.

    A run is named as `load` takes it, or with its store, as in "gpu.db::latest" or "gpu.db", and a name for its host
    before it, as in "gpu=gpu.db". `prices` such as {"gpu": "1.20 USD/gpu-hour"} replace the scenarios' own, by host.
    """
    from bakeoff.decide.across import joining as across

    named = [naming.parse(run, store_place(store)) for run in runs]
    with ExitStack() as opened:
        return across.join([(each.host, each.load(opened)) for each in named], scenarios, prices or {})


def compare(older: str, newer: str, store: str | Path | None = None) -> Change:
    """What changed from the older of two runs, named as for `join`, to the newer."""
    from bakeoff.decide.across import change

    with ExitStack() as opened:
        return change.compare(*(naming.parse(run, store_place(store)).load(opened) for run in (older, newer)))


def check(
    *scenarios: str,
    baseline: str | Path | None = None,
    candidates: Sequence[str] = (),
    budget: str | None = None,
    bisect: bool = False,
    store: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Night:
    """Compare what is here now with the baseline that `pin` pinned, side by side, and give the night.

    `scenarios` are pinned ones, by name, file or folder (default: all in the folder `baseline`); `candidates` narrows
    them. Where `baseline` is a file of pytest-benchmark's, its figures stand in for the baseline, and `scenarios` are
    files and folders as `run` takes them (default: the folder scenarios/). With `bisect`, what is left of the budget
    goes into naming what a regression came with. Raises UserError.
    """
    from bakeoff.nightly import checking

    budget_s = None if budget is None else duration_s("--budget", budget)
    against = _baseline(Path(baseline or pin_files.DEFAULT_FOLDER), scenarios, candidates)
    words = ["bakeoff", "check", *scenarios]
    given = {"--baseline": baseline, "--budget": budget}
    words += [word for name, value in given.items() if value is not None for word in (name, str(value))]
    words += [word for name in candidates for word in ("--candidate", name)] + ["--bisect"] * bisect
    with Nights.open(store_place(store)) as opened:
        return checking.check(
            against, opened, command=shlex.join(words), budget_s=budget_s, bisect=bisect, logs=logs_folder(),
            reporter=reporter,
        )  # fmt: skip


def _baseline(place: Path, scenarios: Sequence[str], candidates: Sequence[str]) -> Baseline:
    from bakeoff.nightly.against import Pins
    from bakeoff.nightly.benchmark_file import Figures

    if place.suffix == ".json" or place.is_file():
        return Figures(place, questions(scenarios), candidates)
    return Pins(pin_files.find(place, scenarios), candidates)


def nights(store: str | Path | None = None) -> list[Night]:
    """All nights of a store, the earliest first; raises UserError where there is no such store."""
    from bakeoff.decide.drift import kept

    with Nights.open(store_place(store), create=False) as opened:
        return [kept.night(opened.load_night(each)) for each in reversed(opened.nights())]


def history(*benchmarks: str, store: str | Path | None = None, metric: str = "service_time") -> History:
    """Every night's change of one metric against its pin, chained over the pins, with Apache Otava's change points.

    `benchmarks` are parts of their names, such as a scenario's or a candidate's; default: all. Raises UserError where
    the store holds no such night.
    """
    from bakeoff.decide.drift import creep
    from bakeoff.nightly import otava

    with Nights.open(store_place(store), create=False) as opened:
        return creep.history(opened, metric, otava.change_points, benchmarks)


def questions(
    what: Sequence[str | Path | Scenario],
    **overrides: Unpack[Overrides],
) -> list[Scenario]:
    """The scenarios that a person names: scenario files, folders of them, or models; options override their values."""
    asked = list(what) or [DEFAULT_SCENARIOS]
    if not what and not DEFAULT_SCENARIOS.is_dir():
        raise UserError("no scenario or model named, and no folder scenarios/ here; `bakeoff init` writes starters")
    values: dict[str, Any] = dict(overrides)
    values["environments"] = _versus(values.pop("versus", None) or ())
    scenarios: list[Scenario] = []
    for each in asked:
        if isinstance(each, Scenario):
            scenarios.append(override(each, **values))
        elif _is_scenario(Path(each)):
            scenarios += [override(scenario, **values) for scenario in load_scenarios(find([each]))]
        else:
            scenarios.append(_from_model(str(each), values))
    _distinct(scenarios)
    return scenarios


def duration_s(option: str, text: str) -> float:
    """A duration on the command line, such as 90s; raises UserError with the option's name."""
    try:
        seconds = units.seconds(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: {error}") from None
    if seconds <= 0:
        raise UserError(f"{option} {text}: must be longer than nothing, as in 90s")
    return seconds


def store_place(store: str | Path | None) -> str:
    """The store named, or BAKEOFF_STORE, or results/bakeoff.db."""
    return str(store or os.environ.get("BAKEOFF_STORE") or DEFAULT_STORE)


def logs_folder() -> Path:
    """Where engines' output goes: beside the usual store; in the cache where that cannot be written, as in a pod."""
    place = DEFAULT_STORE.parent / "logs"
    there = next(each for each in (place, *place.parents) if each.exists())
    return place if os.access(there, os.W_OK | os.X_OK) else cache_dir() / "logs"


def _versus(requirements: Sequence[str]) -> dict[str, Any]:
    """The environments in which other versions of engines are tried, by the names of their candidates."""
    found: dict[str, Any] = {}
    for requirement in requirements:
        try:
            backends = environments.backends_of(requirement)
        except ValueError:
            raise UserError(f"--versus {requirement}: must be a requirement such as onnxruntime==1.30.0") from None
        if not backends:
            raise UserError(f"--versus {requirement}: no installed backend needs that project; see `bakeoff doctor`")
        for name in (named(backend, requirement) for backend in backends):
            if found.setdefault(name, {"requirements": [requirement]}) != {"requirements": [requirement]}:
                where = "name it yourself under candidates.environments of a scenario file"
                raise UserError(f"--versus {requirement}: would be {name}, as another one is; {where}")
    return found


def _from_model(model: str, values: dict[str, Any]) -> Scenario:
    rest = {name: value for name, value in values.items() if name != "workload"}
    if values.get("workload") is not None:
        raise UserError(f"--workload: gives scenarios another model; {model} is one already")
    return from_model(model, **rest)


def _is_scenario(path: Path) -> bool:
    return path.is_dir() or path.suffix in {".yaml", ".yml"}


def _distinct(scenarios: Sequence[Scenario]) -> None:
    names = [scenario.name for scenario in scenarios]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name}: two scenarios of this name; give one of them another `name:`")


def _command(what: Sequence[object], budget: str | None, candidates: Sequence[str], overrides: Overrides) -> str:
    words = [
        "bakeoff",
        "run",
        *(str(each.source or each.name) if isinstance(each, Scenario) else str(each) for each in what),
    ]
    given: dict[str, Any] = {"budget": budget} | dict(overrides)
    backends, versus = (given.pop(name, None) or () for name in ("backends", "versus"))
    for option, value in given.items():
        words += [] if value in (None, False) else [f"--{option.replace('_', '-')}"]
        words += [] if value in (None, False, True) else [str(value)]
    for option, values in (("--backend", backends), ("--versus", versus), ("--candidate", candidates)):
        words += [word for value in values for word in (option, value)]
    return shlex.join(words)
