"""The terminal's look: widths, markup, plain mode, and stillness while measuring."""

import io
import re
import threading
from dataclasses import dataclass, replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from bakeoff.show import console
from bakeoff.show.markdown import markdown
from bakeoff.show.page import page
from bakeoff.store.record import Quality


def shown(show, *things, width=100, terminal=False, **options):
    """What `show` prints on a console of that width."""
    to = Console(
        file=io.StringIO(), width=width, height=40, force_terminal=terminal, highlight=False, _environ={"TERM": "xterm"}
    )
    show(*things, to, **options)
    return to.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(verdict, width):
    assert max(cell_len(line) for line in shown(console.render, [verdict], width=width).splitlines()) <= width


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_headline_comes_first_and_every_candidate_has_its_reason(win, width):
    text = shown(console.render, [win], width=width)
    words = " ".join(text.split())
    assert words.startswith("WIN SWITCH ctr-ranking Switch from")
    flat = re.sub(r"\s+", "", text)
    for one in win.candidates:
        assert all(part in flat for part in one.candidate.split("/"))
        assert one.reason.split(" ")[0] in text


def test_wide_terminals_show_more(win):
    shows = [shown(console.render, [win], width=width) for width in (80, 100, 140)]
    heads = [text.split("outcome, and why not")[0].splitlines()[-1] for text in shows]
    assert ["quality " in head for head in heads] == [False, True, True]
    assert ["capacity" in head for head in heads] == [False, False, True]


@pytest.mark.parametrize("width", [80, 96, 100, 130, 140])
def test_a_name_breaks_between_its_parts_alone(win, width):
    parts = ["onnxruntime/", "int8-dynamic/", "2x1+", "b512-2ms/", "distill:0.5+", "prune-neurons:0.5:finetune=0.25"]
    named = replace(win.candidates[0], candidate="".join(parts))
    text = shown(console.render, [replace(win, candidates=(named, *win.candidates[1:]))], width=width)
    assert all(part in text.split("candidate  ")[-1] for part in parts)


@pytest.mark.parametrize("width", [100, 120, 140])
@pytest.mark.parametrize(
    ("floors", "told", "left_out"),
    [
        (["auc", "top10_changed"], ["auc -0.0006", "top10_changed", "+0.03"], "logloss"),
        ([], ["auc -0.0006"], "top10_changed"),
    ],
)
def test_of_many_metrics_the_table_shows_those_with_a_floor(win, width, floors, told, left_out):
    deltas = {"auc": -0.0006, "logloss": 0.0009, "normalized_entropy": 0.0011, "top10_changed": 0.03}
    quality = {name: Quality(name, 0.7 + delta, 0.7, delta, delta, delta, 9) for name, delta in deltas.items()}
    candidates = tuple(replace(one, quality=quality) for one in win.candidates)
    held = {name: {"amount": 0.05, "relative": False} for name in floors}
    text = shown(console.render, [replace(win, candidates=candidates, choice=None, floors=held)], width=width)
    table = text.split("outcome, and why not")[1]
    assert all(words in table for words in told)
    assert left_out not in table


def test_plain_output_has_no_escapes_and_hostile_text_cannot_bring_any(verdict):
    assert "\x1b" not in shown(console.render, [verdict])


def test_names_are_never_read_as_markup(every):
    assert "[red]markup[/red]" in shown(console.render, [every[-1]], terminal=True, width=140)


def test_a_provisional_verdict_says_so_twice(every):
    provisional = next(verdict for verdict in every if verdict.provisional)
    assert shown(console.render, [provisional]).count("PROVISIONAL") == 2


def test_by_default_it_prints_to_standard_output_wide_enough(win, capsys):
    console.render([win])
    assert "capacity" in capsys.readouterr().out


def test_the_doctor_names_versions_and_remedies(hostile):
    backends = [
        {"backend": "openvino", "available": True, "version": "2026.3", "precisions": ["fp32", "int8"]},
        {"backend": "tvm", "available": False, "reason": "not installed", "remedy": "pip install apache-tvm"},
        {"backend": hostile, "available": False, "version": None, "reason": hostile, "remedy": None},
    ]
    found = {
        "backends": backends,
        "host": {"cpu": "EPYC", "quota_cpus": None, "gpus": []},
        "environment": {"python": "3.11.9", "packages": {"numpy": "2.4"}},
        "measuring": {"generator_cpu": None, "realtime_priority": False},
        "noise": {"steal": 0.01, "worst_gap_ms": 2},
    }
    text = shown(console.render_doctor, found)
    assert re.search(r"openvino +yes +2026.3 \(fp32, int8\)", text)
    assert re.search(r"tvm +no +not installed: pip install apache-tvm", text)
    assert re.search(r"worst gap +2.00 ms", text)
    assert re.search(r"the hypervisor took CPUs +1.0 %", text)
    assert re.search(r"gpus +none", text)
    assert re.search(r"packages numpy +2.4", text)
    assert re.search(r"realtime priority +no", text)


@dataclass
class Check:
    name: str
    ok: bool
    detail: str = ""


def test_conformance_counts_failures():
    text = shown(console.render_conformance, "an-engine", [Check("loads", True), Check("infers", False, "gave [NaN]")])
    assert text.startswith("an-engine")
    assert re.search(r"infers +FAILED +gave \[NaN\]", text)
    assert "1 of 2 checks failed" in text
    assert "all 1 checks pass" in shown(console.render_conformance, "an-engine", [Check("loads", True)])


@dataclass
class Planned:
    scenario: str
    candidate: str
    outcome: str
    reason: str
    seconds: float


def test_a_plan_sums_what_can_run():
    rows = [
        Planned("ctr", "torch/fp32/1x2", "planned", "", 12.0),
        Planned("ctr", "torch/bf16/1x2", "planned", "", 50.0),
        Planned("ctr", "tvm/fp32/1x1", "unavailable", "not installed", 0.0),
    ]
    text = shown(console.render_plan, rows)
    assert "2 of 3 candidates can run here; a first look at them takes about 1 min 2 s" in text
    assert re.search(r"tvm/fp32/1x1 +– +not installed", text)


class Clock:
    """Time that moves when told."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def progress(terminal, clock=None, width=100):
    to = Console(file=io.StringIO(), width=width, force_terminal=terminal, _environ={"TERM": "xterm"}, highlight=False)
    return console.Progress(to, clock or Clock())


def test_without_a_terminal_it_says_plain_lines_and_not_too_many():
    clock = Clock()
    with progress(terminal=False, clock=clock) as reporter:
        reporter.stage("building torch/fp32/1x2")
        reporter.candidate("torch/fp32/1x2", "build", "ok")
        reporter.candidate("tvm/fp32/1x1", "probe", "unavailable", "not [b]installed")
        for _ in range(100):
            clock.now_s += 0.5
            reporter.measuring("ctr: torch/fp32/1x2", 90.0 - clock.now_s)
            with reporter.quiet():
                pass
    lines = reporter.console.file.getvalue().splitlines()
    assert [line.split("s  ", 1)[1] for line in lines[:2]] == [
        "building torch/fp32/1x2",
        "tvm/fp32/1x1: probe: unavailable (not [b]installed)",
    ]
    assert 4 <= len(lines) - 2 <= 6
    assert "measuring ctr: torch/fp32/1x2, 1 min 30 s left" in lines[2]


def test_a_terminal_sees_the_bar_the_time_left_and_what_is_measured():
    with progress(terminal=True) as reporter:
        reporter.stage("building")
        reporter.measuring("ctr: torch/fp32/1x2", 75.0)
        reporter.candidate("tvm/fp32/1x1", "probe", "unavailable")
    text = reporter.console.file.getvalue()
    assert "building" in text
    assert "measuring ctr: torch/fp32/1x2" in text
    assert "1 min 15 s left" in text
    assert "tvm/fp32/1x1: probe: unavailable" in text


def test_nothing_is_drawn_while_a_block_is_measured(monkeypatch):
    monkeypatch.setattr("bakeoff.show.progress._REDRAW_S", 0.005)
    with progress(terminal=True) as reporter:
        reporter.measuring("a", 60.0)
        with reporter.quiet():
            settled = threading.Event()
            settled.wait(0.05)
            before = reporter.console.file.getvalue()
            reporter.stage("b")
            settled.wait(0.1)
            assert reporter.console.file.getvalue() == before
        reporter.stage("c")
        settled.wait(0.1)
        assert len(reporter.console.file.getvalue()) > len(before)


def test_without_a_budget_the_bar_shows_the_time_spent():
    clock = Clock()
    with progress(terminal=True, clock=clock) as reporter:
        clock.now_s = 65.0
        reporter.measuring("a", None)
    assert "1 min 5 s" in reporter.console.file.getvalue()


def test_it_leaves_no_thread_behind_even_when_the_work_fails():
    before = threading.active_count()
    with pytest.raises(RuntimeError), progress(terminal=True):
        raise RuntimeError
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("objective", "unit", "score", "told"),
    [("energy", "joules per million items", 1234.5, "1,230"), ("memory", "bytes", 2.5e9, "2.50 GB")],
)
def test_what_another_objective_counts_is_named_and_has_a_column(win, record, objective, unit, score, told):
    candidates = tuple(replace(one, score=score) for one in win.candidates)
    asked = replace(win, objective=objective, score_unit=unit, candidates=candidates)
    text = shown(console.render, [asked], width=140)
    assert f"the least {objective} wins" in " ".join(text.split())
    assert f"{objective} in {unit}" in " ".join(text.split())
    for form in (text, markdown(record, [asked]), page(record, [asked])):
        assert told in form
    assert "the least" not in shown(console.render, [win], width=140)
