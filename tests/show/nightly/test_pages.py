"""A night on the terminal and as a step summary."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from markdown_it import MarkdownIt
from nights import IMPROVED, INCONCLUSIVE, MISSING, OK, REGRESSED, STARTED, UNKNOWN
from rich.console import Console

from bakeoff.decide.drift.answers import NOT_FOUND, Figure
from bakeoff.show.nightly import words
from bakeoff.show.nightly.pages import markdown, render


def shown(night, capsys, width=220):
    render(night, Console(width=width, highlight=False, force_terminal=False))
    return capsys.readouterr().out


def test_each_benchmark_has_its_line_the_worst_first_and_the_verdict_comes_last(night, capsys):
    lines = shown(night, capsys).splitlines()
    marks = ("REGRESSION  ", "MISSING  ", "INCONCLUSIVE  ", "IMPROVED  ", "OK  ")
    order = [line.split()[0] for line in lines if line.startswith(marks)]
    assert order == ["REGRESSION", "REGRESSION", "MISSING", "INCONCLUSIVE", "INCONCLUSIVE", "IMPROVED", "OK"]
    (regressed,) = (line for line in lines if line.startswith("REGRESSION") and "service time" in line)
    for cell in ("onnxruntime/fp32/1x1", "+5.2 %", "4.10–6.30 %", "8.00 ms → 8.42 ms", "2.6 %", " 12 "):
        assert cell in regressed
    (larger,) = (line for line in lines if line.startswith("REGRESSION") and "artifact size" in line)
    assert "+25 %" in larger
    assert "37.4 MB → 46.8 MB" in larger
    assert " exact " in larger
    last = [line for line in lines[lines.index("The night: REGRESSION") :] if line]
    assert last[1].startswith(
        "6 benchmarks: 1 regressed, 1 missing, 2 inconclusive, 1 improved and 1 ok. ctr-ranking: onnxr"
    )
    assert any("onnxruntime 1.30.0 -> 1.31.1 brought it" in line for line in last)
    assert any("ctr-ranking improved in part" in line for line in last)


def test_what_decides_nothing_stands_apart(night, capsys):
    told = shown(night, capsys)
    (line,) = (line for line in told.splitlines() if "+3.1 % (MDE 11 %)" in line and "onnxruntime" in line)
    assert "+5.2 % (MDE 7.0 %)" in line


def test_why_a_reported_figure_is_unknown_is_told_once(only, capsys):
    figure = Figure("p99", "inconclusive", reason="too few requests come")
    both = [replace(each, figures=(*each.figures, figure)) for each in (OK, IMPROVED)]
    assert shown(only(*both), capsys).count("p99: too few requests come.") == 1


@pytest.mark.parametrize(
    ("answers", "mark"),
    [
        ([OK], "1 benchmark: 1 ok."),
        ([OK, IMPROVED], "service time 8.0 % shorter (7.00–9.00 %)"),
        ([INCONCLUSIVE], "service time 1.0 % longer (-20.0 to 30.0 %)"),
        ([MISSING], "tvm is not installed here any more"),
        ([], "Nothing was checked."),
    ],
)
def test_a_night_in_a_sentence(only, answers, mark):
    assert mark in words.verdict(only(*answers))


def test_a_clock_set_back_in_the_night_gives_it_no_length(only, capsys):
    assert "24 min" in shown(only(OK), capsys)
    assert "24" not in shown(only(OK, finished_at=STARTED - timedelta(minutes=24)), capsys).split("02:00 UTC")[1][:10]


def test_intervals_are_as_wide_as_they_say(only, capsys):
    assert "intervals: 99% (quality: 99.6% over all of its metrics together)" in " ".join(
        shown(only(OK), capsys).split()
    )


def test_a_reason_is_told_once():
    figure = replace(REGRESSED.figures[0], reason="confirmed by 8 fresh sessions")
    told = words.why(replace(REGRESSED, figures=(figure,), reason=f"service_time: {figure.reason}", culprit=""))
    assert told == "service_time: confirmed by 8 fresh sessions"


def test_advice_fits_what_was_found(only):
    def advice(*answers, **more):
        return " ".join(words.advice(only(*answers, **more)))

    assert advice(OK) == ""
    assert "bakeoff pin ctr-ranking --reason TEXT" in advice(IMPROVED)
    assert "bakeoff pin ctr" not in advice(IMPROVED, REGRESSED), "it would take the regression as well"
    assert "--budget" in advice(UNKNOWN)
    assert "--budget" not in advice(INCONCLUSIVE), "no time makes stored figures pass"
    assert "stored figures" in advice(INCONCLUSIVE)
    assert "--bisect" not in advice(REGRESSED), "it was bisected already"
    lost = replace(REGRESSED, culprit=f"{NOT_FOUND}the budget ended with numpy 2.1 -> 2.2 left")
    assert advice(lost) == "", "nobody is blamed for what was not found"
    assert words.why(lost).endswith("what brought it was not found: the budget ended with numpy 2.1 -> 2.2 left")
    assert words.why(REGRESSED).endswith("brought by onnxruntime 1.30.0 -> 1.31.1")
    unexplained = replace(REGRESSED, culprit="")
    assert "bakeoff check ctr-ranking --bisect" in advice(unexplained)
    assert "--bisect" not in advice(unexplained, command="bakeoff check --bisect"), "it just did"
    assert "--bisect" not in advice(replace(unexplained, stored=True)), "there is no baseline to replay"
    larger = replace(unexplained, figures=unexplained.figures[1:])
    assert "--bisect" not in advice(larger), "it explains service times alone"
    assert "bakeoff pin" not in advice(INCONCLUSIVE)
    assert "stopped before its end" in advice(OK, status="stopped")


def test_the_summary_is_rendered_as_tables_and_not_as_what_names_hold(hostile_night, night):
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render
    page = rendered(markdown(night))
    assert page.count("<table>") == 2
    assert page.count("<tr>") == 1 + 7 + 1 + 2
    assert page.index("The night: REGRESSION") < page.index("The benchmarks")
    hostile = rendered(markdown(hostile_night))
    assert hostile.count("<tr>") == page.count("<tr>")
    assert set(re.findall(r"<(\w+)", hostile)) == set(re.findall(r"<(\w+)", page)) | {"li", "ul"}
    assert "<script" not in hostile


@pytest.mark.parametrize("width", [80, 220])
def test_hostile_names_are_text(hostile_night, capsys, width):
    told = shown(hostile_night, capsys, width)
    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= width
