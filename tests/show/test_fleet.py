"""A plan as a terminal and a chart tell it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bakeoff.decide.fleet.planning import Plan
from bakeoff.decide.fleet.simulation import Outage, Served
from bakeoff.show import fleet, fleet_chart

HELD = Served(1000, 1e6, 0.9, 3.0, 19.8, 0.4, 4.0, 0.0098, 24, 1_728_000)
PEAK = replace(HELD, replicas=1201, utilisation=0.75, p99_ms=8.61, p99_error_ms=0.12, over=0.0)
PLAN = Plan(
    scenario="ctr-ranking",
    candidate="onnxruntime/fp32/1x1",
    fleet_qps=1e6,
    balancing="random",
    percentile=99.0,
    limit_ms=20.0,
    capacity_qps=1000.0,
    capacity_measured=True,
    headroom=0.2,
    spare=1,
    formula=1201,
    fewest=HELD,
    tried=(Served(900, 1e6, 1.0), replace(HELD, replicas=980, p99_ms=25.0), HELD),
    peak=PEAK,
    lost=1,
    without=replace(PEAK, replicas=1200, p99_ms=8.7),
    outage=Outage(1, 1200, 3.0, 1.8, 8.9, 0.2, 0.0),
    assumed_day=True,
    hours=tuple(replace(PEAK, qps=1e4 * hour, replicas=10 + hour, p99_ms=5.0 + hour % 20) for hour in range(24)),
    unit="USD",
    replica_hour=0.04,
)


def told(plan, width=120):
    out = io.StringIO()
    fleet.render(plan, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_the_terminal_tells_of_the_peak_the_loss_the_day_and_the_cost():
    text = told(PLAN)
    for line in (
        "1,000,000 requests/s at the peak · random balancing · p99 within 20 ms",
        "1,201 replicas by the formula: 20 % headroom over 1,000 requests/s a replica (measured), 1 spare",
        "1,201 replicas held all day: 48.0 USD an hour · 1,150 USD a day · 421,000 USD a year",
        "scaled by the hour: 20.6 USD a day, 98 % less",
        "the worst hour of a day scaled by the hour is 19: p99 24.0 ± 0.12 ms; the day is an assumption",
        "takes about 1.8 unanswered requests with it",
        "simulated with 24 of 1,201 replicas, 1,728,000 requests a line",
    ):
        assert line in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "fewest that hold the SLA 1,000 90 % 3.00 ms 19.8 ± 0.40 ms 0.98 %" in rows
    assert "planned 1,201 75 % 3.00 ms 8.61 ± 0.12 ms 0 %" in rows
    assert "1 lost, until started anew (3.0 s) 1,200 – – 8.90 ± 0.20 ms 0 %" in rows
    assert "23 230,000 33 75 % 8.00 ms" in rows


def test_what_is_not_so_is_not_told():
    text = told(replace(PLAN, outage=None, without=None, assumed_day=False, replica_hour=None, fewest=None))
    assert "lost" not in text
    assert "assumption" not in text
    assert "the cost is not known" in text
    assert "no number of replicas holds p99 within 20 ms" in text


def test_overload_and_asking_and_a_far_capacity_are_told():
    overloaded = Served(900, 1e6, 1.1)
    text = told(
        replace(PLAN, peak=overloaded, hours=(overloaded,) * 24, outage=Outage(900, 0, 3.0, None), capacity_qps=800.0)
    )
    assert "asked for 900 110 % – overloaded 100 %" in [" ".join(line.split()) for line in text.splitlines()]
    assert "none left" in text
    assert "is 00: overloaded" in text
    assert "the fewest that hold the SLA are 20 % fewer than the capacity says (1,250)" in text


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text(hostile, width):
    text = told(replace(PLAN, scenario=hostile, candidate=hostile, unit="[red]"), width)
    assert "\x1b" not in text
    assert "[red]" in text


def test_the_chart_has_the_fleets_that_it_can_show(tmp_path):
    (main,) = fleet_chart.chart(PLAN).axes
    limit, curve, planned = main.lines
    assert limit.get_ydata() == [20.0, 20.0]
    assert list(curve.get_xdata()) == [980, 1000, 1200, 1201]
    assert list(planned.get_xdata()) == [1201]
    paths = fleet_chart.save(PLAN, tmp_path / "charts")
    assert [path.name for path in paths] == ["fleet-ctr-ranking.png", "fleet-ctr-ranking.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)
