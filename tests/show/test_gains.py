"""What a variant gained is said in a few words wherever its row is."""

from dataclasses import replace

import pytest

from bakeoff.decide.judgement import Gain
from bakeoff.show import console, views
from bakeoff.show.markdown import markdown
from bakeoff.show.page import page

OVER = "onnxruntime/fp32/2x1"


def of(win, place, gain, **changed):
    """The verdict with another gain in one place, and what that place's row says."""
    judged = list(win.candidates)
    judged[place] = replace(judged[place], gain=gain, **changed)
    verdict = replace(win, candidates=tuple(judged), choice=judged[0])
    return verdict, views.rows(verdict)[place].why_not


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (None, ""),
        (Gain(OVER, "gain", "rounds", 0.123, 0.08, 0.15), "12 % cheaper than base (8.0 % to 15 %)"),
        (Gain(OVER, "gain", "screen", 0.29), "29 % cheaper than base in the screening block alone"),
        (Gain(OVER, "none", "rounds", 0.01, -0.02, 0.04), "no measured gain over base"),
        (Gain(OVER, "none", "screen", 0.05), "no measured gain over base in the screening block alone"),
        (Gain(None, "not compared"), "not compared with base"),
    ],
)
def test_the_choice_says_what_it_gained(win, gain, words):
    assert of(win, 0, gain)[1] == words


def test_it_follows_the_reason_of_what_is_not_chosen(win):
    reason = win.candidates[1].reason
    assert of(win, 1, Gain(OVER, "none", "rounds", 0.0, -0.1, 0.1))[1] == f"{reason}; no measured gain over base"
    assert of(win, 1, Gain(OVER, "not compared"), outcome="eliminated")[1] == reason


def test_every_report_has_it(win, record, capsys):
    verdict, _ = of(win, 1, Gain(OVER, "none", "rounds", 0.0, -0.1, 0.1))
    console.render([verdict])
    for text in (capsys.readouterr().out, markdown(record, [verdict]), page(record, [verdict])):
        assert "no measured gain over base" in " ".join(text.split())
