"""The chart of a plan: the percentile of latency against the number of replicas, with the SLA's line."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from bakeoff.decide.fleet.planning import Plan
from bakeoff.show import drawing as draw
from bakeoff.show.charts import slug
from bakeoff.show.numbers import exact, percentile_name
from bakeoff.show.writable import writing_into

SIZE = (7.0, 3.4)
_HIGHEST = 2.0
"""How far beyond the limit the upright axis goes."""


def chart(plan: Plan) -> Figure:
    """Every fleet that was simulated at the peak; what is planned stands out."""
    fleets = {one.replicas: one for one in (*plan.tried, plan.peak, *([plan.without] if plan.without else []))}
    top_ms = _HIGHEST * plan.limit_ms
    shown = [one for _, one in sorted(fleets.items()) if one.p99_ms is not None and one.p99_ms <= top_ms]
    figure = draw.blank(SIZE)
    main = draw.axes(figure, (0.08, 0.15, 0.88, 0.74))
    main.set_ylim(0.0, top_ms)
    main.axhline(plan.limit_ms, color=draw.MISS, linewidth=1.2, linestyle=(0, (5, 3)))
    places = [one.replicas for one in shown]
    main.plot(places, [one.p99_ms or 0.0 for one in shown], color=draw.OTHER, marker="o", markersize=3.5, linewidth=1.0)
    if plan.peak in shown:
        main.plot([plan.peak.replicas], [plan.peak.p99_ms or 0.0], color=draw.CHOICE, marker="o", markersize=8)
    main.xaxis.set_major_locator(MaxNLocator(integer=True))
    main.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    main.set_xlabel(
        "replicas at the peak (the planned number is the large dot)", color=draw.MUTED, fontsize=draw.SMALL + 0.5
    )
    quiet = {"transform": main.transAxes, "color": draw.MUTED, "fontsize": draw.SMALL + 0.5}
    draw.write(main, 0, 1.04, f"{percentile_name(plan.percentile)} latency, ms; {plan.balancing} balancing", **quiet)
    limit = {"transform": main.get_yaxis_transform(), "color": draw.MISS, "fontsize": draw.SMALL + 0.5}
    draw.write(main, 0.995, plan.limit_ms * 1.03, f"SLA {exact(plan.limit_ms)} ms", ha="right", **limit)
    return figure


def save(plan: Plan, folder: Path) -> tuple[Path, ...]:
    """Write the chart into `folder` (made if need be) as PNG and SVG; gives the paths."""
    with writing_into(folder):
        return draw.write_both(chart(plan), folder / f"fleet-{slug(plan.scenario)}")
