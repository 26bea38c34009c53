"""The report as one self-contained HTML page: it opens from disk, fetches nothing, prints well and fits a phone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from bakeoff.decide.judgement import Judgement, Verdict
from bakeoff.decide.maps.decision_map import DecisionMap
from bakeoff.decide.maps.outlook import Outlook
from bakeoff.show import numbers, provenance, recipes, views
from bakeoff.show.charts import chart, latencies
from bakeoff.show.drawing import page_svg
from bakeoff.show.endpoints import endpoint_words
from bakeoff.show.gates import Gate, gates, subject
from bakeoff.show.map_figure import map_figure, map_words
from bakeoff.show.mapping import turns
from bakeoff.show.measuring import measuring_words
from bakeoff.show.scale import readable
from bakeoff.show.scatter import alt_text
from bakeoff.show.today import saving_words, today_words
from bakeoff.store.record import RunRecord

NO_OUTLOOKS: Mapping[str, Outlook] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart as inline SVG, drawn for a wide screen and for a phone."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """All that the template shows of one scenario."""

    anchor: str
    verdict: Verdict
    gates: tuple[Gate, ...]
    subject: Judgement | None
    main: Chart
    detail: Chart | None
    rows: tuple[views.Row, ...]
    rivals: tuple[views.Row, ...]
    yaml: str
    calls: str
    map: Chart | None
    turns: tuple[str, ...]
    today: tuple[str, ...]
    measuring: tuple[str, ...]


def page(record: RunRecord, verdicts: Sequence[Verdict], outlooks: Mapping[str, Outlook] = NO_OUTLOOKS) -> str:
    """The whole report of a run as HTML, at most a few hundred kilobytes for a run of ordinary size.

    `outlooks` are the decision maps of its scenarios by name.
    """
    sections = tuple(
        _section(record, place, readable(verdict), outlooks.get(verdict.scenario))
        for place, verdict in enumerate(verdicts, 1)
    )
    script = _source("copy.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            record=record,
            sections=sections,
            host=provenance.machine_facts(record),
            software=provenance.software_facts(record),
            looks=provenance.noise_looks(record),
            style=Markup(_source("style.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            views=views,
            provenance=provenance,
        )
    )


def _section(record: RunRecord, place: int, verdict: Verdict, outlook: Outlook | None) -> Section:
    anchor = f"scenario-{place}"
    judged = subject(verdict)
    label = "Each candidate's latency with its interval; the table holds the figures."
    return Section(
        anchor=anchor,
        verdict=verdict,
        gates=gates(verdict),
        subject=judged,
        main=_chart(chart, verdict, f"{anchor}-main", alt_text(verdict)),
        detail=_chart(latencies, verdict, f"{anchor}-detail", label) if views.shows_latency(verdict) else None,
        rows=views.rows(verdict),
        rivals=views.rivals(verdict),
        yaml=recipes.as_yaml(verdict.choice) if verdict.choice else "",
        calls=recipes.engine_calls(verdict.choice) if verdict.choice else "",
        map=_chart(map_figure, outlook.map, f"{anchor}-map", map_words(outlook.map)) if outlook else None,
        turns=tuple(turns(outlook)) if outlook else (),
        today=tuple(line for line in (today_words(verdict), saving_words(verdict)) if line),
        measuring=(*measuring_words(record, verdict), *endpoint_words(verdict)),
    )


def _chart(draw: Callable[..., Figure], drawn: Verdict | DecisionMap, salt: str, label: str) -> Chart:
    wide, narrow = (page_svg(draw(drawn, narrow=slim), f"{salt}-{slim}", label) for slim in (False, True))
    return Chart(Markup(wide), Markup(narrow))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("bakeoff.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("ms", "number", "percent", "size", "duration", "interval", "clean", "change", "exact", "percentile_name")
    made.filters.update({name: getattr(numbers, name) for name in names})
    made.filters["breakable"] = _breakable
    return made


def _breakable(name: str) -> Markup:
    """A candidate's id that breaks at its slashes first, and between the steps of a recipe."""
    parts = (Markup("+<wbr>").join(part.split("+")) for part in numbers.shorten(name, 200).split("/"))
    return Markup("/<wbr>").join(parts)


@cache
def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]
