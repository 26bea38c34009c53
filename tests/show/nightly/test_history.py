"""The nights for people: figures with signs, and a chart whose words cover nothing."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import log

import numpy as np
import pytest
from matplotlib.colors import to_hex

from bakeoff.decide.drift.past import ChangePoint, History, Point, Series
from bakeoff.errors import UserError
from bakeoff.show import drawing
from bakeoff.show.nightly import history as told
from bakeoff.show.nightly import history_chart
from bakeoff.show.placing import overlaps
from bakeoff.show.sheet import markdown

COUNT = 40
NIGHTS = {f"n{n}": datetime(2026, 9, 1, tzinfo=UTC) + timedelta(days=n) for n in range(COUNT)}


def series(name, *, steps=(), pins=(), versions=(), first=0, scale=0.01):
    """A benchmark whose level changes by each of `steps`, {night: log ratio}."""
    noise = scale * np.random.default_rng(len(name)).normal(size=COUNT)
    points, level, lies = [], 0.0, 0.0
    for number, (night, at) in enumerate(NIGHTS.items()):
        level += dict(steps).get(number, 0.0)
        lies = level if number in pins else lies
        value = level - lies + noise[number]
        points.append(
            Point(
                night,
                at,
                value,
                lies + value,
                3,
                f"pin{sum(number >= pin for pin in pins)}",
                value - 0.02,
                value + 0.02,
                "regression" if value > 0.06 else "ok",
                number in pins,
                int(number in pins),
                ("onnxruntime 1.30.0 → 1.31.1", "numpy 2.4.5 → 2.4.6") if number in versions else (),
            )
        )
    changes = tuple(ChangePoint(n - first, f"n{n}", np.expm1(step), 1e-9) for n, step in dict(steps).items())
    return Series("ctr", name, tuple(points[first:]), changes=changes)


@pytest.fixture
def found(hostile):
    return History(
        "service_time",
        NIGHTS,
        (
            series("onnxruntime/fp32/1x1", steps={20: log(1.08)}, pins=[24], versions=[10, 20]),
            series("openvino/int8/2x1", steps={12: 0.02, 22: 0.02, 36: 0.03}, pins=[30], versions=[12, 30, 36]),
            series("torch/fp32/1x2", steps={38: -0.12}, versions=[38]),
            series("late", first=25),
            series(hostile),
        ),
    )


def told_as(found):
    return markdown([told.sheet(found)]).replace("\\", "")


def test_the_sheet_says_where_each_stands_and_what_changed(found):
    shown = told_as(replace(found, series=found.series[:2]))
    assert "### service time over 40 nights; + is worse" in shown
    assert "**4 change points, in 2 of 2 benchmarks.**" in shown
    assert "| ctr: onnxruntime/fp32/1x1 | n20 | +8.0 % | 1e-09 | onnxruntime 1.30.0 → 1.31.1" in shown
    assert "Since the first pin: chained" in shown
    assert "the pin of n30 came with onnxruntime 1.30.0 → 1.31.1" in shown, "what it cost is not in the chain"
    row = next(line for line in shown.splitlines() if line.startswith("| ctr: onnxruntime/fp32/1x1 | 40"))
    _, _, _, date, pin, around, first, pins, _ = (cell.strip() for cell in row.split("|"))
    assert (date, pins) == ("2026-10-10", "2")
    assert float(first.rstrip(" %")) == pytest.approx(8, abs=1.5)
    assert abs(float(pin.rstrip(" %"))) < 3
    assert " to " in around


def test_a_single_benchmark_has_its_last_nights(found):
    shown = told_as(replace(found, series=found.series[:1]))
    assert "| n21 |" in shown
    assert "| n39 |" in shown
    assert "| n19 |" not in shown
    assert "new pin" in shown
    assert "regression" in shown


def test_no_change_points_and_none_looked_for_are_two_things(found):
    quiet = replace(found, series=found.series[3:4])
    assert "No level has changed for good." in told_as(quiet)
    assert "Since the first pin: chained" not in told_as(quiet)
    unknown = told_as(replace(quiet, not_sought="no uv (pip install it)"))
    assert "Change points were not looked for." in unknown
    assert "No change points: no uv (pip install it)." in unknown


def test_json_is_strict_and_in_fractions(found):
    shown = json.loads(json.dumps(told.to_json(found), allow_nan=False))
    assert (shown["metric"], len(shown["nights"]), shown["change_points_not_sought"]) == ("service_time", COUNT, None)
    first = shown["benchmarks"][0]
    assert first["since_first_pin"] == pytest.approx(0.08, abs=0.015)
    assert first["change_points"] == [
        {
            "night": "n20",
            "change": pytest.approx(0.08),
            "p": 1e-9,
            "new_pin": False,
            "versions": ["onnxruntime 1.30.0 → 1.31.1", "numpy 2.4.5 → 2.4.6"],
        }
    ]
    assert first["nights"][24]["new_pin"]
    assert first["nights"][24]["since_first_pin"] - first["nights"][24]["change"] == pytest.approx(0.08, abs=0.003)
    assert first["nights"][20]["status"] == "regression"


def test_no_label_covers_another_or_leaves_the_figure(found):
    figure = history_chart.chart(found)
    figure.canvas.draw()
    drawn = [(text.get_text(), text.get_window_extent().extents) for each in figure.axes for text in each.texts]
    covering = [(a, b) for (a, one), (b, other) in combinations(drawn, 2) if overlaps(one, other)]
    assert not covering
    width, height = figure.canvas.get_width_height()
    assert not [name for name, (left, low, right, top) in drawn if left < 0 or low < 0 or right > width or top > height]
    ticks = [tick for each in figure.axes for tick in each.get_yticklabels()]
    assert min(tick.get_window_extent().x0 for tick in ticks if tick.get_text()) >= 0


def marks(panel, marker, colour=None):
    """Where marks stand, of one colour or of any."""
    lines = [line for line in panel.lines if line.get_marker() == marker]
    return sorted(x for line in lines if colour in (None, to_hex(line.get_color())) for x in line.get_xdata())


def test_the_chart_shows_nights_change_points_pins_and_versions(found):
    first = history_chart.chart(found).axes[0]
    assert "+8.0 %: onnxruntime 1.30.0 → 1.31.1 and 1 more" in [text.get_text() for text in first.texts]
    upright = {
        (line.get_xdata()[0], to_hex(line.get_color()))
        for line in first.lines
        if len(set(line.get_xdata())) == 1 and list(line.get_ydata()) == [0, 1]
    }
    assert upright == {(19.5, drawing.MISS), (23.5, drawing.MUTED)}
    assert marks(first, "D") == [10, 20]
    assert marks(first, "o") == list(range(COUNT))
    assert marks(first, "o", drawing.MISS) == [20, 21, 22, 23]
    assert sum(len(bars.get_segments()) for bars in first.collections) == COUNT


def test_words_that_do_not_fit_between_two_change_points_are_left_out(found):
    """A label never hides the line of another."""
    panel = history_chart.chart(found).axes[1]
    assert [text.get_text() for text in panel.texts if "%" in text.get_text()] == ["+2.0 %", "+2.0 %", "+3.0 %"]
    crowded = replace(found.series[1], changes=[ChangePoint(n, f"n{n}", 0.02, 1e-9) for n in range(10, 30)])
    labels = history_chart.chart(replace(found, series=(crowded,))).axes[0].texts
    assert sum("%" in text.get_text() for text in labels) < 20


def test_nights_that_a_benchmark_missed_leave_a_gap(found):
    late = history_chart.chart(found).axes[3]
    assert marks(late, "o") == list(range(25, COUNT))


def test_one_night_and_very_many_benchmarks_are_drawn(found):
    (name, at), *_ = NIGHTS.items()
    one = replace(found.series[0], points=found.series[0].points[:1], changes=())
    figure = history_chart.chart(History("p99", {name: at}, (one,)))
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["2026-09-01"]
    many = history_chart.chart(replace(found, series=found.series[3:4] * (history_chart.MOST + 7)))
    assert len(many.axes) == history_chart.MOST
    assert any("7 more benchmarks are not drawn" in text.get_text() for text in many.axes[0].texts)


def test_files_are_written_by_their_ending_and_the_same_each_time(found, tmp_path):
    for name in ("a.png", "b.png", "a.svg"):
        history_chart.save(found, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    ET.parse(tmp_path / "a.svg")
    with pytest.raises(UserError, match=r"--figure .*a\.pdf: must end in \.png or \.svg"):
        history_chart.save(found, tmp_path / "a.pdf")
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        history_chart.save(found, tmp_path / "none" / "a.png")
