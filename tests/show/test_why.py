"""`bakeoff why` in a terminal and as JSON."""

import json
from dataclasses import replace

import pytest

from bakeoff.decide.compare import Interval
from bakeoff.decide.judgement import Remedy
from bakeoff.decide.why import Lap, Why
from bakeoff.show import sheet
from bakeoff.show import why as shown
from bakeoff.store.record import LedgerRow

LEDGER = (
    LedgerRow("build", "ok", seconds=3.2),
    LedgerRow("quality", "quality-missed", "auc falls by 0.0041, the floor allows 0.002", 1.5),
)
LAPS = {0: (Lap(None, 601.0, 0.093), Lap(11.1, 612.0, 0.091)), 1: (Lap(12.1, None, 0.1), Lap(None, None, None))}
FLOOR = Remedy("the auc floor", "auc", 0.002, 0.0053, "loses", "would pass if the auc floor were 0.0053", 0.02)


@pytest.fixture
def missed(win):
    """The one that loses too much quality, beside the choice."""
    judged = next(one for one in win.candidates if one.outcome == "quality-missed")
    return Why(win, replace(judged, remedies=(FLOOR,)), win.choice, LEDGER, LAPS, Interval(0.02, -0.01, 0.05))


def printed(found, capsys):
    sheet.render([shown.sheet(found)])
    return " ".join(capsys.readouterr().out.split())


def test_the_reason_first_then_stages_gates_rounds_and_what_would_have_to_change(missed, capsys):
    told = printed(missed, capsys)
    parts = (
        "onnxruntime/int8-static/2x1 for ctr-ranking: quality missed",
        "Not chosen: auc falls by 0.0041, the floor allows 0.002.",
        "quality quality-missed 1.5 s auc falls by 0.0041",
        "Latency p99 passes 12.1 ms of 20 ms",
        "Quality auc misses -0.0041 floor -0.002 0.0021 too much",
        "screen – 601 0.0930 11.1 612 0.0910 +2.2 %",
        "1 12.1 – 0.100 – – – –",
        "Beside openvino/int8/2x1: 2.0 % dearer (-1.0 % to 5.0 %), by the rounds that both had.",
        "It would pass if the auc floor were 0.0053.",
        "Reproduce: bakeoff run scenarios/ctr-ranking.yaml --candidate onnxruntime/int8-static/2x1",
    )
    places = [told.index(part) for part in parts]
    assert places == sorted(places)


def test_each_floor_is_a_gate_of_its_own(missed):
    floors = {name: {"amount": amount, "relative": False} for name, amount in (("auc", 0.002), ("logloss", 0.001))}
    found = replace(missed, verdict=replace(missed.verdict, floors=floors))
    gates = {gate["name"]: gate["status"] for gate in shown.to_json(found)["gates"]}
    assert gates["Quality auc"] == "misses"
    assert gates["Quality logloss"] == "not measured"


def test_one_that_is_cheaper_and_one_that_was_only_screened(missed, capsys):
    cheaper = replace(missed, loss=Interval(-0.2, -0.3, -0.1))
    assert "20 % cheaper (10 % to 30 %), by the rounds" in printed(cheaper, capsys)
    assert "2.2 % dearer in the screening block." in printed(replace(missed, loss=None), capsys)


def test_the_choice_says_so(win, capsys):
    told = printed(Why(win, win.choice, None, (), {1: LAPS[0]}, None), capsys)
    assert "openvino/int8/2x1 for ctr-ranking: choice It is the choice." in told
    assert "against it" not in told


def test_every_candidate_of_every_verdict(verdict, hostile, capsys):
    for one in verdict.candidates:
        found = Why(verdict, one, verdict.choice, (LedgerRow(hostile, "failed", hostile),), LAPS, None)
        told = printed(found, capsys)
        assert "\x1b" not in told
        json.dumps(shown.to_json(found), allow_nan=False)


def test_the_json_names_its_figures(missed):
    told = shown.to_json(missed)
    assert told["candidate"]["remedies"][0]["needed"] == 0.0053
    assert told["rounds"][0] == {
        "round": 0,
        "candidate": {"tail_ms": None, "capacity_qps": 601.0, "score": 0.093},
        "best": {"tail_ms": 11.1, "capacity_qps": 612.0, "score": 0.091},
    }
    assert (told["best"], told["loss"]["high"]) == ("openvino/int8/2x1", 0.05)
    assert told["ledger"][1]["outcome"] == "quality-missed"
