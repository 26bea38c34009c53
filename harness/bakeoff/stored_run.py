"""A run in a store, and all that is derived from it: the verdict, tables, reports, maps, a plan, a bundle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bakeoff import backends
from bakeoff.decide.fleet import wish
from bakeoff.decide.verdict import judge_scenario, verdicts
from bakeoff.store.record import RunRecord
from bakeoff.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from bakeoff.decide.fleet.planning import Plan
    from bakeoff.decide.judgement import Verdict
    from bakeoff.decide.maps.outlook import Outlook
    from bakeoff.decide.why import Why
    from bakeoff.show.mlperf import Written
    from bakeoff.show.pytest_benchmark import Exported

DEFAULT_REPORTS = Path("reports")


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
        from bakeoff.show.writable import writing_into

        place = DEFAULT_REPORTS / self.id if folder is None else Path(folder)
        found, record = self.verdict(), self.record()
        charts.save(found, place)
        mapped = outlooks(record, backends.cpu_flags())
        for number, one in enumerate(record.scenarios, 1):
            if one.name in mapped:
                mapping.save(mapped[one.name], place, f"{number:02d}-")
        path = place / "index.html"
        with writing_into(place):
            (place / "summary.md").write_text(markdown.markdown(record, found), encoding="utf-8")
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

    def export_pytest_benchmark(self) -> Exported:
        """Every measured candidate's service times in pytest-benchmark's schema, and who is missing."""
        from bakeoff.show import pytest_benchmark

        with Store.open(self.store, create=False) as store:
            record = store.load(self.id)
            return pytest_benchmark.export(record, verdicts(record, backends.cpu_flags()))

    def bundle(self, to: str | Path | None = None, with_host: bool = False) -> Path:
        """Write all that the verdict rests on into one zip file for `verify`, and give its path; default: RUN.zip.

        Host names, the user's name and absolute paths stay out of it unless `with_host`.
        """
        from bakeoff.decide.bundles import bundling
        from bakeoff.show.writable import writing

        place = Path(f"{self.id}.zip" if to is None else to)
        with Store.open(self.store, create=False) as store:
            data = bundling.bundled(store.load(self.id), with_host)
        with writing(place):
            place.write_bytes(data)
        return place
