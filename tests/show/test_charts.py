"""The charts, judged by what is drawn: places, labels, bytes."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import matplotlib as mpl
import pytest

from bakeoff.errors import UserError
from bakeoff.show import charts, drawing
from bakeoff.show.placing import overlaps, place
from bakeoff.show.points import sort_out


def texts(figure):
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


def boxes(figure):
    figure.canvas.draw()
    return [(text.get_text(), text.get_window_extent().extents) for text in texts(figure)]


@pytest.mark.parametrize("narrow", [False, True])
def test_no_label_covers_another_or_leaves_the_figure(verdict, narrow):
    figure = charts.chart(verdict, narrow=narrow)
    drawn = boxes(figure)
    covering = [(a, b) for (a, one), (b, other) in combinations(drawn, 2) if overlaps(one, other)]
    assert not covering
    width, height = figure.canvas.get_width_height()
    outside = [name for name, (left, low, right, top) in drawn if left < 0 or low < 0 or right > width or top > height]
    assert not outside


def test_the_chart_names_what_matters(win):
    shown = [text.get_text() for text in texts(charts.scatter(win))]
    assert "openvino/int8/2x1" in shown
    assert "onnxruntime/fp32/1x2 · today" in shown
    assert "SLA 20 ms" in shown
    assert "tvm/fp32/1x1" in shown
    assert "15 · unavailable" in shown


def test_every_candidate_is_either_on_the_axes_or_in_the_gutter(verdict):
    points, outside, scales = sort_out(verdict)
    numbers = [point.number for point in points if point.number] + [one.number for one in outside]
    assert sorted(numbers) == list(range(1, len(verdict.candidates) + 1))
    assert all(point.x <= scales.x[1] and scales.y[0] <= point.y <= scales.y[1] for point in points)


def test_what_is_far_too_slow_does_not_squeeze_the_others(win):
    _, outside, scales = sort_out(win)
    assert scales.x[1] <= 2 * win.sla["limit_ms"]
    assert "412 ms" in [one.why for one in outside]


def test_more_failures_than_the_gutter_holds_are_counted(win):
    failed = replace(win.candidates[-1])
    many = replace(win, candidates=(win.choice, *[replace(failed, candidate=f"broken/fp32/{n}") for n in range(40)]))
    assert "and 30 more" in [text.get_text() for text in texts(charts.scatter(many))]


def test_production_figures_are_marked(every):
    production = next(verdict for verdict in every if verdict.production)
    assert "triton today · today" in [text.get_text() for text in texts(charts.scatter(production))]


def test_without_cost_the_chart_shows_capacity(win):
    free = replace(win, candidates=tuple(replace(one, cost=None) for one in win.candidates))
    assert "Capacity, requests/s (higher is better)" in [text.get_text() for text in texts(charts.scatter(free))]


def test_without_latency_and_cost_the_chart_shows_throughput(offline):
    free = replace(offline, candidates=tuple(replace(one, cost=None) for one in offline.candidates))
    assert "Throughput, items/s (higher is better)" in [text.get_text() for text in texts(charts.chart(free))]


def test_nothing_measured_still_draws(win):
    for candidates in ((), win.candidates[-3:]):
        empty = replace(win, choice=None, incumbent=None, set=(), candidates=candidates)
        for draw in (charts.chart, charts.scatter, charts.latencies, charts.costs):
            assert draw(empty).axes


def test_saved_files_are_the_same_each_time(every, tmp_path):
    first, second = (charts.save([every[-1]], tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {path.suffix for path in first} == {".png", ".svg"}


def test_svg_is_well_formed_and_self_contained(verdict, tmp_path):
    for figure in (charts.scatter(verdict), charts.latencies(verdict), charts.costs(verdict)):
        drawing.write_svg(figure, tmp_path / "chart.svg")
        svg = (tmp_path / "chart.svg").read_text()
        ET.fromstring(svg)
        assert not re.search(r"""(?:href|src)=["'](?!#)""", svg)
        assert "<text" not in svg


def test_a_pages_svg_takes_its_colours_and_font_from_the_page(win):
    svg = drawing.page_svg(charts.scatter(win), "a", 'the "chart" <of> it')
    assert svg.startswith("<svg viewBox=")
    assert 'aria-label="the &quot;chart&quot; &lt;of&gt; it"' in svg
    assert "var(--choice)" in svg
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)
    assert "<text" in svg


def test_drawing_changes_nothing_global(win):
    before = dict(mpl.rcParams)
    drawing.page_svg(charts.scatter(win), "a", "")
    assert dict(mpl.rcParams) == before


def test_a_label_with_no_room_is_left_out():
    frame = (0.0, 0.0, 100.0, 100.0)
    assert place((50, 50), (20, 8), [frame], [], frame, gap=4) is None
    spot = place((50, 50), (20, 8), [(52, 40, 90, 60)], [], frame, gap=4)
    assert spot.x < 50
    assert spot.nearest((50, 50)) == (46.0, 50)


def test_a_vast_interval_does_not_squeeze_the_others(win):
    vast = replace(win.candidates[1], cost_high=50.0, cost_low=0.0, p99_high_ms=900.0)
    odd = replace(win, candidates=(win.candidates[0], vast, *win.candidates[2:]))
    _, _, scales = sort_out(odd)
    assert scales.y[1] < 0.5
    assert charts.costs(odd).axes[0].get_xlim()[1] < 2.0


def test_a_place_that_cannot_be_written_is_one_line(win, tmp_path):
    taken = tmp_path / "README.md"
    taken.write_text("mine")
    with pytest.raises(UserError, match=r"README\.md: cannot be written: File exists"):
        charts.save([win], taken)
    assert taken.read_text() == "mine"
