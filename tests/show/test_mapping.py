"""The decision map and its sensitivity as figures, on the page and in the terminal."""

import io
import json
import re
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from rich.console import Console

from bakeoff.decide.maps.decision_map import DecisionMap, Point
from bakeoff.decide.maps.outlook import Outlook
from bakeoff.decide.what_if.sensitivity import Stretch
from bakeoff.scenario import from_dict
from bakeoff.show import drawing, mapping
from bakeoff.show.map_figure import PALETTE, colours_of, map_figure, map_words
from bakeoff.show.page import page
from bakeoff.show.placing import overlaps
from bakeoff.show.sensitivity_figure import sensitivity_figure

SIZES, RATES, LIMITS = (50, 100, 400, 800), (100.0, 400.0, 1600.0, 6400.0), (10.0, 20.0, 40.0, 80.0)
SCENARIO = from_dict(
    {
        "workload": "ctr-dlrm",
        "traffic": {"kind": "server", "qps": 100, "fleet_qps": 1600, "batch_size": 150},
        "sla": {"p99": "20ms"},
    }
)


def point(size, qps, limit, names):
    """Little traffic ties, large requests are too slow for the tightest limit, and names take turns."""
    winner = (
        "tie" if qps == RATES[0] else "none" if (size, limit) == (800, 10.0) else names[SIZES.index(size) % len(names)]
    )
    return Point(qps, size, limit, winner, 0.1, names[0], 0.2, size == 50, "so it is", 2, tuple(names[:2]))


def outlook_of(*names):
    points = [point(size, qps, limit, names) for limit in LIMITS for size in SIZES for qps in RATES]
    measured = ((100, 100.0), (400, 100.0))
    stretches = (
        Stretch("the auc floor", 0.0, 0.0034, 0.002, names[0], (), None, None, "the only one"),
        Stretch(
            "the auc floor", 0.0034, float("inf"), 0.002, names[-1], (), names[0], 0.3, f"{names[0]} is 40 % dearer"
        ),
        Stretch("the headroom", 0.0, float("inf"), 0.2, "tie", tuple(names[:2]), names[0], 0.0, "level"),
    )
    return Outlook(
        DecisionMap("ctr-ranking", SCENARIO, tuple(points), (), measured, {"tvm/fp32/1x1": "crashed"}), stretches
    )


@pytest.fixture(scope="module", params=[2, 4], ids=["two winners", "four winners"])
def outlook(request, hostile):
    return outlook_of(
        *["openvino/int8/2x1", "onnxruntime/int8-dynamic/2x1/distill:0.5", "x" * 200, hostile][: request.param]
    )


def drawn_texts(figure):
    figure.canvas.draw()
    texts = [text for axes in figure.axes for text in axes.texts]
    for axis, (low, high) in [(each.xaxis, each.get_xlim()) for each in figure.axes]:
        texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    texts += [text for axes in figure.axes for text in axes.get_yticklabels()]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return [(text.get_text(), text.get_window_extent().extents) for text in texts if text.get_text()]


def figures(outlook):
    return [
        map_figure(outlook.map),
        map_figure(outlook.map, narrow=True),
        sensitivity_figure(outlook.stretches, outlook.map.winners),
    ]


def test_no_text_covers_another_or_leaves_the_figure(outlook):
    with drawing.quiet_style():
        for figure in figures(outlook):
            boxes = drawn_texts(figure)
            assert not [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if overlaps(one, other)]
            width, height = figure.canvas.get_width_height()
            inside = [
                left >= 0 and low >= 0 and right <= width and top <= height for _, (left, low, right, top) in boxes
            ]
            assert all(inside), boxes[inside.index(False)]


def test_a_colour_for_each_winner_and_no_more_and_hatches_beyond_what_was_measured(outlook):
    figure = map_figure(outlook.map)
    cells = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    colours = {to_hex(cell.get_facecolor()) for cell in cells} - {drawing.LINE, drawing.BEYOND}
    assert colours == set(PALETTE[: len(outlook.map.winners)])
    hatched = {to_hex(cell.get_facecolor()) for cell in cells if cell.get_hatch()}
    assert hatched == {drawing.LINE, colours_of(outlook.map.winners)[outlook.map.points[1].winner]}
    assert all(bool(cell.get_hatch()) == (cell.get_x() < 50) for cell in cells), "the leftmost size was not measured"
    (_, own, *_) = figure.axes
    assert [line.get_marker() for line in own.lines] == ["o", "o", "D"]


def test_more_winners_than_colours_share_the_grey():
    names = [f"engine{number}/fp32/1x1" for number in range(len(PALETTE) + 2)]
    assert list(colours_of(names).values())[-2:] == [drawing.OTHER] * 2


def test_the_terminal_tells_rows_turns_and_who_is_missing(outlook):
    to = Console(file=io.StringIO(), width=200, highlight=False)
    mapping.render(outlook, to)
    text = to.file.getvalue()
    assert re.search(r"^10 +100 +tie, \S+ from 400", text, re.MULTILINE)
    assert re.search(r"^20 +50 +~tie, ~openvino/int8/2x1 from 400", text, re.MULTILINE)
    assert "would win if the auc floor were 0.0034 or more (asked: 0.002): openvino/int8/2x1 is 40 % dearer." in text
    assert "Not on the map: tvm/fp32/1x1 (crashed)" in text
    assert "\x1b" not in text


def test_many_turns_are_counted(outlook):
    many = replace(outlook, stretches=outlook.stretches[1:2] * 11)
    assert mapping.turns(many)[-1] == "3 more turns are in the frame."


def test_files_and_json(outlook, tmp_path):
    paths = mapping.save(outlook, tmp_path / "new")
    stems = ("ctr-ranking-map", "ctr-ranking-sensitivity")
    assert {path.name for path in paths} == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    told = json.loads(json.dumps(mapping.to_json(outlook), allow_nan=False))
    assert len(told["map"]) == 64
    assert told["sensitivity"][1]["high"] is None
    assert told["left_out"] == {"tvm/fp32/1x1": "crashed"}


def test_the_page_holds_the_map_of_its_scenario_alone(record, win, outlook):
    text = page(record, [win], {"ctr-ranking": outlook})
    assert text.count('data-part="map"') == 1
    assert map_words(outlook.map).split("of")[0] in text
    assert "would win if the auc floor were 0.0034 or more" in text
    assert 'data-part="map"' not in page(record, [win], {"another": outlook})
    assert "<script>alert" not in text
