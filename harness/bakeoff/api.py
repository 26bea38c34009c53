"""The Python API, which the command line uses too: run scenarios, and read what runs left."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from bakeoff import backends
from bakeoff.contest import appraisal, asking, contest
from bakeoff.contest.reporter import Reporter
from bakeoff.decide.fleet import wish
from bakeoff.decide.verdict import judge_scenario, verdicts
from bakeoff.errors import UserError
from bakeoff.measure import environments
from bakeoff.scenario import Scenario, find, from_model, load_scenarios, override, units
from bakeoff.scenario.environment import named
from bakeoff.store import naming
from bakeoff.store.record import RunRecord
from bakeoff.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from bakeoff.decide.across.change import Change
    from bakeoff.decide.across.joining import Across
    from bakeoff.decide.bundles.bundling import Checked
    from bakeoff.decide.fleet.planning import Plan
    from bakeoff.decide.judgement import Verdict
    from bakeoff.decide.maps.outlook import Outlook
    from bakeoff.decide.why import Why
    from bakeoff.show.mlperf import Written

DEFAULT_STORE = Path("results/bakeoff.db")
DEFAULT_SCENARIOS = Path("scenarios")
DEFAULT_REPORTS = Path("reports")
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


@dataclass(frozen=True, slots=True)
class Run:
    """A run in a store: immutable, everything below is derived from its raw record at reading."""

    id: str
    store: str

    def record(self) -> RunRecord:
        """The raw record, its stamps left in the store until asked for."""
        with Store.open(self.store, create=False) as store:
            return store.load(self.id)

    def table(self) -> pd.DataFrame:
        """The tidy frame: a row per measured block, and one for each candidate without any (docs: store/frame.py)."""
        from bakeoff.store.frame import frame

        with Store.open(self.store, create=False) as store:
            return frame(store.load(self.id))

    def verdict(self, cpu_flags: Collection[str] | None = None) -> tuple[Verdict, ...]:
        """The verdict on each scenario, for a host whose CPU has these flags; None: for this host."""
        with Store.open(self.store, create=False) as store:
            return verdicts(store.load(self.id), backends.cpu_flags() if cpu_flags is None else cpu_flags)

    def why(self, candidate: str, scenario: str | None = None) -> Why:
        """All about one candidate, named by its id or by a part that no other's id has.

        `scenario` may be left out where the run has one. Raises UserError for no such candidate or scenario.
        """
        from bakeoff.decide.why import why

        record = self.record()
        here = record.host.get("cpu_flags", ())
        return why(wish.one_scenario(record, scenario), candidate, backends.cpu_flags(), here)

    def outlook(self, scenario: str | None = None, others: Sequence[Run] = ()) -> Outlook:
        """The decision map of a scenario and what would turn its verdict, by this run and `others` of one question.

        `scenario` may be left out where the run has one; others add their batch sizes. Raises UserError for another
        question, another host, and no such scenario.
        """
        from bakeoff.decide.court import convene
        from bakeoff.decide.maps.outlook import outlook

        records = [run.record() for run in (self, *others)]
        found = [wish.one_scenario(record, scenario) for record in records]
        flags = backends.cpu_flags()
        courts = [convene(one, cpu_flags=flags) for one in found]
        return outlook(courts, [str(record.host.get("host")) for record in records], flags)

    def decision_map(self, scenario: str | None = None, others: Sequence[Run] = ()) -> pd.DataFrame:
        """The winner over fleet QPS, batch size and SLA: a row per point (docs: decide/maps/frames.py)."""
        from bakeoff.decide.maps.frames import map_frame

        return map_frame(self.outlook(scenario, others).map)

    def sensitivity(self, scenario: str | None = None, others: Sequence[Run] = ()) -> pd.DataFrame:
        """Between which floors, headrooms and ratios of prices who wins: a row per stretch."""
        from bakeoff.decide.maps.frames import sensitivity_frame

        return sensitivity_frame(self.outlook(scenario, others).stretches)

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the HTML page, the charts and the Markdown summary, and give the page's path.

        `folder` defaults to reports/RUN under the current folder.
        """
        from bakeoff.decide.maps.outlook import outlooks
        from bakeoff.show import charts, mapping, markdown, page

        place = DEFAULT_REPORTS / self.id if folder is None else Path(folder)
        found, record = self.verdict(), self.record()
        place.mkdir(parents=True, exist_ok=True)
        charts.save(found, place)
        mapped = outlooks(record, backends.cpu_flags())
        for number, one in enumerate(record.scenarios, 1):
            if one.name in mapped:
                mapping.save(mapped[one.name], place, f"{number:02d}-")
        (place / "summary.md").write_text(markdown.markdown(record, found), encoding="utf-8")
        path = place / "index.html"
        path.write_text(page.page(record, found, mapped), encoding="utf-8")
        return path

    def plan(
        self,
        scenario: str | None = None,
        candidate: str | None = None,
        *,
        fleet_qps: float | str | None = None,
        replicas: int | None = None,
        balancing: str = "random",
        trace: str | Path = wish.DAILY,
        lost: int = 1,
    ) -> Plan:
        """Simulate the fleet that serves a scenario with the verdict's choice, or with another candidate.

        `fleet_qps` is a number, or text such as "1M"; None is the scenario's. `trace` is "daily", a typical day, or a
        file (see scenario/day.py). A run of several scenarios takes one's name. Raises UserError.
        """
        from bakeoff.decide.fleet import planning

        asked = wish.read(candidate, fleet_qps, replicas, balancing, trace, lost)
        record = wish.one_scenario(self.record(), scenario)
        return planning.plan(record, judge_scenario(record, cpu_flags=backends.cpu_flags()), asked)

    def export_mlperf(self, folder: str | Path) -> Written:
        """Write MLPerf LoadGen's summary and detail logs of every measured candidate; say where, and who is missing."""
        from bakeoff.show import mlperf

        return mlperf.write(self.record(), Path(folder))

    def bundle(self, to: str | Path | None = None, with_host: bool = False) -> Path:
        """Write all that the verdict rests on into one zip file for `verify`, and give its path; default: RUN.zip.

        Host names, the user's name and absolute paths stay out of it unless `with_host`.
        """
        from bakeoff.decide.bundles import bundling

        place = Path(f"{self.id}.zip" if to is None else to)
        with Store.open(self.store, create=False) as store:
            data = bundling.bundled(store.load(self.id), with_host)
        try:
            place.write_bytes(data)
        except OSError as error:
            raise UserError(f"{place}: cannot be written: {error.strerror}") from None
        return place


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
    """Where engines' output goes."""
    return DEFAULT_STORE.parent / "logs"


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
        found |= {named(backend, requirement): {"requirements": [requirement]} for backend in backends}
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
